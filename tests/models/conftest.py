from collections.abc import Callable

import pytest
import torch
from helpers.tiny_model import IMAGE_SIZE, tiny_config
from mmseg.registry import MODELS

import mmseg_mllm  # noqa: F401


@pytest.fixture
def build_segmentor() -> Callable:
    def build(*, protocol: str = "independent", empty_masks: bool = False, **backbone):
        torch.manual_seed(0)
        segmentor = MODELS.build(dict(tiny_config(**backbone), protocol=protocol, empty_masks=empty_masks))
        return segmentor.eval()

    return build


@pytest.fixture
def images() -> torch.Tensor:
    return torch.randn(2, 3, IMAGE_SIZE, IMAGE_SIZE, generator=torch.Generator().manual_seed(1))
