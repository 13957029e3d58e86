from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.tiny_model import tiny_config
from PIL import Image

from mmseg_mllm.apis import RESPredictor
from mmseg_mllm.cli import main


@pytest.fixture(scope="session")
def model(tmp_path_factory) -> Path:
    """Folder of a tiny model with random weights."""
    from mmseg.registry import MODELS

    torch.manual_seed(0)
    config = tiny_config()
    config["data_preprocessor"] = dict(type="ImgDataPreprocessor", mean=[120.0] * 3, std=[60.0] * 3)
    folder = tmp_path_factory.mktemp("models") / "model"
    RESPredictor(model=MODELS.build(config)).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def photos(tmp_path_factory) -> Path:
    """Seven images; read only."""
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    for k in range(7):
        pixels = rng.integers(0, 255, (20 + k, 30, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"photo{k}.png")
    return folder


@pytest.fixture
def command(capfd) -> Callable[..., tuple[int, str, str]]:
    """Runs ``mmseg-mllm``; gives its exit code and what it said on both outputs."""

    def run(*arguments: str | Path) -> tuple[int, str, str]:
        capfd.readouterr()
        code = 0
        try:
            main([str(argument) for argument in arguments])
        except SystemExit as end:
            code = end.code
        said = capfd.readouterr()
        return code, said.out, said.err

    return run
