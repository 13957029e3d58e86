import json
from math import prod

import torch
from helpers.original_folder import write_original
from helpers.tiny_model import tiny_config

from mmseg_mllm.apis import RESPredictor
from mmseg_mllm.conversion.convert import convert_mllmseg


def test_info_says_what_the_model_is(command, model):
    code, said, _ = command("info", model, "--json")
    assert code == 0
    facts = json.loads(said)
    weights = RESPredictor.from_pretrained(model, device="cpu").model.state_dict()
    assert facts["parameters"] == sum(prod(tensor.shape) for tensor in weights.values())
    parts = ("of_the_vision_tower", "of_the_language_model", "of_the_mask_decoder")
    projector = sum(prod(t.shape) for name, t in weights.items() if "multi_modal_projector" in name)
    assert sum(facts[part] for part in parts) + projector == facts["parameters"]
    assert facts["language_model"] == "qwen2, 2 layers of width 32"
    sizes = ("input_size", "image_tokens", "prompt", "protocol", "weights", "base")
    assert [facts[name] for name in sizes] == [32, 4, "mllmseg", "independent", "float32", "internvl"]
    code, said, _ = command("info", model)
    assert "image tokens           4\n" in said
    code, _, error = command("info", "nothing")
    assert code == 1
    assert "no such folder" in error


def test_info_of_the_packaged_model(command):
    """An adapter: the weights are those of two folders."""
    code, said, _ = command("info", "tiny", "--json")
    assert code == 0
    facts = json.loads(said)
    weights = RESPredictor.from_pretrained("tiny", device="cpu").model.state_dict()
    assert facts["parameters"] == sum(prod(tensor.shape) for tensor in weights.values())


def test_convert_is_told_what_it_gets(command, tmp_path):
    source = write_original(tmp_path / "src")
    code, said, _ = command("convert", source, tmp_path / "dst")
    assert code == 0
    assert f"--model {tmp_path / 'dst'}" in said
    convert_mllmseg(source, tmp_path / "wanted")
    for path in (tmp_path / "wanted").rglob("*"):
        if path.is_file():
            assert (
                tmp_path / "dst" / path.relative_to(tmp_path / "wanted")
            ).read_bytes() == path.read_bytes()
    for arguments, message in (
        (["absent", "x"], "absent: no such folder"),
        ([source, tmp_path / "dst"], "dst"),
        ([source, tmp_path / "x", "--config", "c.py"], "a folder must have none"),
        ([source / "config.json", tmp_path / "x"], "needs --config"),
    ):
        code, _, error = command("convert", *arguments)
        assert code == 1
        assert message in error


def test_a_checkpoint_is_converted_with_its_config(command, tmp_path):
    from mmseg.registry import MODELS

    config = tiny_config()
    config["data_preprocessor"] = dict(type="ImgDataPreprocessor", mean=[120.0] * 3, std=[60.0] * 3)
    torch.save(MODELS.build(config).state_dict(), tmp_path / "model.pth")
    (tmp_path / "config.py").write_text(
        f"custom_imports = dict(imports=['mmseg_mllm'])\nmodel = {config!r}\n"
    )
    arguments = [tmp_path / "model.pth", tmp_path / "dst", "--config", tmp_path / "config.py"]
    assert command("convert", *arguments)[0] == 0
    assert command("info", tmp_path / "dst")[0] == 0
