"""Figures of saved predictions are those of the test that saved them."""

import json
from functools import partial
from pathlib import Path

import pytest
from helpers.in_process import ROOT, run_in_process
from mmengine.registry import init_default_scope

from mmseg_mllm.engine.config import load_config
from mmseg_mllm.evaluation import RESMetric
from mmseg_mllm.evaluation.grouping import annotations_only
from mmseg_mllm.evaluation.kinds import TITLES
from mmseg_mllm.evaluation.predictions import read_predictions
from mmseg_mllm.evaluation.saved import saved_samples

TOOL = "tools/analysis_tools/eval_metric.py"
CONFIG = "configs/mllmseg/internvl_tiny_toy.py"
GRES = [
    "test_dataloader.dataset.type=GRefCOCODataset",
    "test_dataloader.dataset.ann_file=grefcoco/instances.json",
    "test_dataloader.dataset.split_file=grefcoco/grefs(unc).json",
    "test_dataloader.dataset.dataset_name=toy_grefcoco",
]


def table_rows(output: str) -> list[str]:
    return [line for line in output.splitlines() if line.startswith("│")]


def logged_figures(work_dir: Path) -> dict[str, float]:
    """Figures that a test logged with all their digits; counts, which are no floats, stand there as null."""
    (log,) = work_dir.glob("*/*.json")
    figures = json.loads(log.read_text())
    return {name: value for name, value in figures.items() if "/" in name and value is not None}


def figures_of(path: Path, root: Path, *options: str, **arguments) -> dict[str, float]:
    """All digits of a file's figures."""
    init_default_scope("mmseg")
    settings = dict(option.split("=", maxsplit=1) for option in options)
    config = load_config(str(ROOT / CONFIG), dict(settings, data_root=str(root)))
    datasets = annotations_only(config, splits=None)
    metric = RESMetric(**arguments)
    for sample in saved_samples(datasets, read_predictions(path)):
        metric.process(None, [sample])
    return metric.evaluate(metric.tally.seen)


@pytest.fixture(scope="session")
def tested(trained, run_tool, options, tmp_path_factory):
    """Predictions of all three test splits, and what the test printed."""
    work_dir = tmp_path_factory.mktemp("tested")
    out = work_dir / "pred.json"
    result = run_tool(
        *("tools/test.py", CONFIG, trained / "iter_6.pth", "--out", out, "--by", "need")
        + ("--work-dir", work_dir, *options)
    )
    assert result.returncode == 0, result.stderr
    return out, result.stdout


@pytest.fixture
def run(monkeypatch, capsys):
    return partial(run_in_process, monkeypatch, capsys, TOOL)


@pytest.fixture
def fails(run):
    """Run the tool where it must fail; gives the one line it says."""

    def fails(*arguments: str | Path) -> str:
        code, _, said = run(*arguments)
        assert code == 1
        (line,) = said.splitlines()
        assert line.startswith("error: ")
        return line

    return fails


def test_res_and_rec_are_the_tests_own(tested, run_tool, small_toy):
    out, printed = tested
    result = run_tool(TOOL, CONFIG, out, "--cfg-options", f"data_root={small_toy}")
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    assert len(table_rows(result.stdout)) == 6
    assert table_rows(result.stdout) == table_rows(printed)[:6]
    assert f"made by: python {TOOL} {CONFIG} {out}" in result.stdout
    expected = logged_figures(out.parent)
    assert len(expected) == 3 * (8 + 2)
    assert expected.items() <= figures_of(out, small_toy).items()


def test_gres_is_the_tests_own(trained, run_tool, run, options, small_toy, tmp_path):
    """With an argument for the metric from the command line and one from the config."""
    out = tmp_path / "pred.json"
    own = [*GRES, "test_evaluator.rotate_expressions=True"]
    test = run_tool(
        *("tools/test.py", CONFIG, trained / "iter_6.pth", "--out", out, "--work-dir", tmp_path),
        *("--protocol", "paper", "--rejection", "strict", *options, *own),
    )
    assert test.returncode == 0, test.stderr
    rows = table_rows(test.stdout)
    assert len(rows) == 3
    assert "cIoU rotated" in test.stdout
    code, printed, said = run(
        *(CONFIG, out, "--rejection", "strict", "--cfg-options", f"data_root={small_toy}", *own)
    )
    assert (code, said) == (0, "")
    assert table_rows(printed) == rows
    assert "protocol: paper (joint, forced), rejection: strict" in printed
    expected = logged_figures(tmp_path)
    assert len(expected) == 3 * 10
    found = figures_of(out, small_toy, *GRES, rejection="strict", rotate_expressions=True)
    assert expected.items() <= found.items()
    # The file holds all that another judgement needs.
    code, printed, _ = run(CONFIG, out, "--cfg-options", f"data_root={small_toy}", *GRES)
    assert code == 0
    assert "rejection: paper" in printed


@pytest.mark.parametrize("by", ["category", "size", "need"])
def test_tables_of_groups_add_up(tested, run, small_toy, by):
    code, printed, _ = run(CONFIG, tested[0], "--by", by, "--cfg-options", f"data_root={small_toy}")
    assert code == 0
    if by == "need":
        assert table_rows(printed) == table_rows(tested[1])
    cells = [[cell.strip() for cell in row.split("│")[1:-1]] for row in table_rows(printed)[6:]]
    ends = [index for index, row in enumerate(cells) if row[0] == "all"]
    assert len(ends) == 3
    for split, start, end in zip(("val", "testA", "testB"), [0, *(e + 1 for e in ends)], ends, strict=False):
        assert f"toy_refcoco {split} by {TITLES[by]}" in printed
        assert end > start
        counted, every = sum(int(row[2]) for row in cells[start:end]), int(cells[end][2])
        # An expression may need several kinds of words.
        assert counted >= every if by == "need" else counted == every


def test_another_test_set_is_told(tested, fails, small_toy):
    root = f"data_root={small_toy}"
    message = fails(CONFIG, tested[0], "--split", "val", "train", "--cfg-options", root)
    assert "expressions of the test set are not in" in message
    assert "are not in the test set" in message
    assert "no split 'dev'" in fails(CONFIG, tested[0], "--split", "dev", "--cfg-options", root)


def test_other_files_are_told(fails, tmp_path, small_toy):
    assert "no such file" in fails(CONFIG, tmp_path / "pred.json")
    instances = small_toy / "refcoco" / "instances.json"
    assert "instances.json: not a file of tools/test.py --out" in fails(CONFIG, instances)
    assert "no such config" in fails("configs/nothing.py", instances)


def test_damaged_masks_are_told(tested, fails, small_toy, tmp_path):
    content = json.loads(tested[0].read_text())
    content["predictions"][3]["segmentation"]["counts"] += "5"
    path = tmp_path / "pred.json"
    path.write_text(json.dumps(content))
    message = fails(CONFIG, path, "--cfg-options", f"data_root={small_toy}")
    assert f"sentence {content['predictions'][3]['sent_id']}" in message
    assert "its RLE can't be read" in message
