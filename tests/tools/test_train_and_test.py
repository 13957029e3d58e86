import json
from pathlib import Path

from pycocotools import mask as coco_mask

ROOT = Path(__file__).parents[2]
CONFIG = "configs/mllmseg/internvl_tiny_toy.py"


def losses(work_dir: Path) -> list[float]:
    """The loss of each logged training step of all runs in a work dir, oldest first."""
    logs = sorted(work_dir.glob("*/vis_data/scalars.json"))
    lines = [json.loads(line) for log in logs for line in log.read_text().splitlines()]
    return [line["loss"] for line in lines if "loss" in line]


def table_rows(output: str) -> list[str]:
    return [line for line in output.splitlines() if line.startswith("│")]


def test_training_says_little_and_leaves_checkpoints(trained):
    assert {path.name for path in trained.glob("*.pth")} == {"iter_2.pth", "iter_4.pth", "iter_6.pth"}


def test_test_writes_masks_pictures_and_one_table(trained, run_tool, options, tmp_path):
    out, show_dir = tmp_path / "pred.json", tmp_path / "pictures"
    result = run_tool(
        *("tools/test.py", CONFIG, trained / "iter_6.pth", "--out", out, "--show-dir", show_dir),
        *("--show-num", "3", "--shuffle-expressions", "--work-dir", tmp_path, *options),
    )
    assert result.returncode == 0, result.stderr
    assert "independent, forced" in result.stdout
    assert "tools/test.py" in result.stdout
    assert [line.split("│")[2].strip() for line in table_rows(result.stdout)] == 2 * ["val", "testA", "testB"]
    written = json.loads(out.read_text())
    assert written["protocol"] == "independent, forced"
    assert len({p["image_id"] for p in written["predictions"]}) == 7
    assert coco_mask.decode(written["predictions"][0]["segmentation"]).ndim == 2
    assert len(list(show_dir.glob("*.png"))) == 3


def test_joint_protocol_is_named_in_the_table(trained, run_tool, options, tmp_path):
    result = run_tool(
        *("tools/test.py", CONFIG, trained / "iter_6.pth", "--protocol", "joint", "--split", "val"),
        *("--work-dir", tmp_path, *options),
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("protocol: joint, forced") == len(table_rows(result.stdout)) == 2


def test_two_processes_print_the_numbers_of_one(trained, run_tool, options, tmp_path):
    """Seven images: one process gets a padded one."""
    one = run_tool("tools/test.py", CONFIG, trained / "iter_6.pth", "--work-dir", tmp_path, *options)
    two = run_tool(
        "tools/dist_test.sh", CONFIG, trained / "iter_6.pth", "2", "--work-dir", tmp_path, *options
    )
    assert two.returncode == 0, two.stderr
    assert table_rows(two.stdout) == table_rows(one.stdout)
    assert len(table_rows(two.stdout)) == 6


def test_two_processes_train_with_the_same_effective_batch(trained, run_tool, options, tmp_path):
    result = run_tool("tools/dist_train.sh", CONFIG, "2", "--work-dir", tmp_path, *options)
    assert result.returncode == 0, result.stderr
    assert "train_dataloader = dict(\n    batch_size=8," in next(tmp_path.glob("*.py")).read_text()
    one, two = losses(trained), losses(tmp_path)
    assert len(one) == len(two) == 6
    # The first step has the same weights and the same images' worth of other random draws.
    assert abs(one[0] - two[0]) < 0.1 * one[0]
