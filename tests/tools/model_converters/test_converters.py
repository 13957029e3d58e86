"""The converters as a user runs them."""

import shutil

import numpy as np
import pytest
from helpers.original_folder import tensors_of, write_original

from mmseg_mllm.apis import RESPredictor

CONFIG = "configs/mllmseg/internvl_tiny_toy.py"


def table_rows(output):
    return [line for line in output.splitlines() if line.startswith("│")]


@pytest.fixture(scope="module")
def folder(trained, run_tool, tmp_path_factory):
    """A model folder of the short training."""
    target = tmp_path_factory.mktemp("merged") / "model"
    result = run_tool("tools/model_converters/merge_checkpoint.py", CONFIG, trained / "iter_6.pth", target)
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith(f"{target}: ")
    return target


def test_a_model_folder_is_tested_like_its_checkpoint(folder, trained, run_tool, options, tmp_path):
    outputs = []
    for checkpoint in (folder, trained / "iter_6.pth"):
        result = run_tool("tools/test.py", CONFIG, checkpoint, "--work-dir", tmp_path, *options)
        assert result.returncode == 0, result.stderr
        outputs.append(table_rows(result.stdout))
    assert len(outputs[0]) == 6
    assert outputs[0] == outputs[1]


@pytest.mark.parametrize(
    ("name", "says"), [("paper", "paper (joint, forced)"), ("generate", "generate (independent, generated)")]
)
def test_protocols_are_named(name, says, folder, run_tool, options, tmp_path):
    result = run_tool(
        *("tools/test.py", CONFIG, folder, "--protocol", name, "--split", "val"),
        *("--work-dir", tmp_path, *options),
    )
    assert result.returncode == 0, result.stderr
    assert f"protocol: {says}" in result.stdout
    assert ("was trained with 'short'" in result.stdout) == (name == "paper")


def test_a_folder_of_an_earlier_version_is_described(folder, run_tool, tmp_path):
    old = shutil.copytree(folder, tmp_path / "old")
    (old / "mmseg_mllm.json").unlink()
    for code in (0, 1):
        result = run_tool("tools/model_converters/describe_folder.py", CONFIG, old)
        assert result.returncode == code, result.stderr
    assert result.stderr == f"error: {old / 'mmseg_mllm.json'}: exists already\n"
    assert (old / "mmseg_mllm.json").read_bytes() == (folder / "mmseg_mllm.json").read_bytes()


def test_there_and_back(run_tool, tmp_path):
    source, ours, back = (tmp_path / name for name in ("src", "ours", "back"))
    write_original(source)
    for command in ((source, ours), (ours, back, "--reverse")):
        result = run_tool("tools/model_converters/mllmseg2mmseg.py", *command)
        assert result.returncode == 0, result.stderr
    assert tensors_of(source).keys() == tensors_of(back).keys()


def test_a_base(run_tool, tmp_path):
    write_original(tmp_path / "src", with_head=False)
    result = run_tool("tools/model_converters/internvl2hf.py", tmp_path / "src", tmp_path / "dst")
    assert result.returncode == 0, result.stderr
    assert f"model.backbone.pretrained={tmp_path / 'dst'}" in result.stdout


def test_an_error_is_one_line(run_tool, tmp_path):
    result = run_tool("tools/model_converters/internvl2hf.py", tmp_path / "absent", tmp_path / "dst")
    assert result.returncode == 1
    assert result.stderr == f"error: {tmp_path / 'absent'}: no such folder\n"


def test_a_folder_that_is_no_model(run_tool, options, tmp_path):
    result = run_tool("tools/test.py", CONFIG, tmp_path, *options)
    assert result.returncode == 1
    assert "not a model folder" in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_tiny_random_folder_converts(run_tool, tmp_path):
    made, converted = tmp_path / "made", tmp_path / "converted"
    result = run_tool(
        *("tools/model_converters/make_random_internvl.py", "--size", "tiny", "--mllmseg", "--out", made)
    )
    assert result.returncode == 0, result.stderr
    result = run_tool("tools/model_converters/mllmseg2mmseg.py", made, converted)
    assert result.returncode == 0, result.stderr
    assert (converted / "decode_head.safetensors").is_file()


def test_a_random_model_of_a_config_is_loaded_by_its_folder(run_tool, tmp_path):
    made = tmp_path / "made"
    sizes = [
        "model.backbone.arch.vision_config.num_hidden_layers=1",
        "model.backbone.arch.vision_config.hidden_size=64",
        "model.backbone.arch.vision_config.num_attention_heads=4",
        "model.backbone.arch.text_config.num_hidden_layers=1",
        "model.backbone.arch.text_config.vocab_size=1024",
        "model.decode_head.channels=64",
        "model.backbone.image_size=128",
    ]
    config = "configs/mllmseg/smolvlm2_256m_refcoco.py"
    tool = "tools/model_converters/make_random_model.py"
    result = run_tool(tool, config, made, "--cfg-options", *sizes)
    assert result.returncode == 0, result.stderr
    predictor = RESPredictor.from_pretrained(made, device="cpu", dtype="bfloat16")
    numbers = sum(p.numel() for p in predictor.model.backbone.parameters())
    numbers += sum(tensor.numel() for tensor in predictor.model.decode_head.state_dict().values())
    assert f"{numbers:,} random numbers, bfloat16" in result.stdout
    predictor.set_image(np.zeros((40, 60, 3), dtype=np.uint8))
    (answer,) = predictor.segment(["a dog"])
    assert answer.size == (40, 60)
    assert 0 < answer.map.mean() < 1


def test_a_merged_toy_has_no_way_back_and_says_why(folder, run_tool, tmp_path):
    result = run_tool("tools/model_converters/mllmseg2mmseg.py", folder, tmp_path / "back", "--reverse")
    assert result.returncode == 1
    assert "no original/" in result.stderr
    assert "trained from random weights" in result.stderr
