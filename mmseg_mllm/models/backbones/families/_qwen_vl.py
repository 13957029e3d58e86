"""What Qwen2.5-VL and Qwen3-VL have in common: patches in blocks, and positions of three kinds (M-RoPE)."""

from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import PretrainedConfig

from mmseg_mllm.models.backbones import family
from mmseg_mllm.models.backbones.chat_format import ChatFormat
from mmseg_mllm.prompts import REJ_TOKEN, SEG_TOKEN

IMAGE, TURN_END = "<|image_pad|>", "<|im_end|>"
SIDE = 32
"""Cells of the vision map along a side, where a config does not say otherwise."""


class QwenVL(family.Family):
    """A vision tower that takes patches in blocks of those that become one image token."""

    chat = ChatFormat(
        special_tokens=(
            "<|im_start|>",
            TURN_END,
            "<|vision_start|>",
            "<|vision_end|>",
            IMAGE,
            SEG_TOKEN,
            REJ_TOKEN,
        ),
        image_token=IMAGE,
        turn_end=TURN_END,
        system_turn=f"<|im_start|>system\n{{text}}{TURN_END}\n",
        image_turn=f"<|im_start|>user\n<|vision_start|>{IMAGE}<|vision_end|>",
        question=f"{{text}}{TURN_END}\n<|im_start|>assistant\n",
        answer=f"{{text}}{TURN_END}",
    )

    squares_only = False

    def image_size(self, config: PretrainedConfig) -> int:
        return SIDE * self.patch_size(config)

    def patch_size(self, config: PretrainedConfig) -> int:
        return config.vision_config.patch_size

    def downsample(self, config: PretrainedConfig) -> int:
        return config.vision_config.spatial_merge_size

    def positions(self, is_image: Sequence[bool], *, grid: tuple[int, int]) -> list[list[int]]:
        """Time, row and column; an image takes as many as its longer side has tokens, text one for each."""
        start, (rows, columns) = is_image.index(True), grid
        cells = [(0, row, column) for row in range(rows) for column in range(columns)]
        end = start + max(grid)
        after = range(end, end + len(is_image) - start - len(cells))
        return [[*range(start), *(start + cell[axis] for cell in cells), *after] for axis in range(3)]

    def position_argument(self, positions: Tensor) -> Tensor:
        return positions


def to_blocks(images: Tensor, vision: PretrainedConfig) -> Tensor:
    """(B, 3, H, W) -> (B * H * W / P², 3 * T * P²): flat patches, repeated T times, block after block."""
    p, m = vision.patch_size, vision.spatial_merge_size
    cells = images.unflatten(3, (-1, m, p)).unflatten(2, (-1, m, p))  # B, 3, rows, m, p, columns, m, p
    blocks = cells.permute(0, 2, 5, 3, 6, 1, 4, 7).flatten(0, 4)
    return blocks[:, :, None].expand(-1, -1, vision.temporal_patch_size, -1, -1).flatten(1)


def from_blocks(cells: Tensor, images: Tensor, vision: PretrainedConfig) -> Tensor:
    """(B * N, C) cells block after block of (B, 3, H, W) images -> (B, C, H / P, W / P)."""
    m = vision.spatial_merge_size
    rows, columns = (side // (vision.patch_size * m) for side in images.shape[2:])
    placed = cells.unflatten(0, (len(images), rows, columns, m, m)).permute(0, 5, 1, 3, 2, 4)
    return placed.flatten(4, 5).flatten(2, 3)


def image_grids(images: Tensor, patch_size: int) -> Tensor:
    """(B, 3) times, rows and columns of patches, on the CPU: what the tower makes of them are sizes."""
    rows, columns = (side // patch_size for side in images.shape[2:])
    return torch.tensor([[1, rows, columns]] * len(images), device="cpu")
