"""A backbone of MMSegmentation or mmpretrain as a further source of detail for the mask decoder."""

import torch
from mmengine.model import BaseModule
from mmseg.registry import MODELS
from torch import Tensor

from mmseg_mllm.errors import ConfigError
from mmseg_mllm.input_size import InputSize, height_width
from mmseg_mllm.models.layers import resize_concat


class DetailBackbone(BaseModule):
    """Puts one of a backbone's maps beside the vision tower's, which is resized to it.

    Args:
        backbone: Config of the backbone. Its outputs after the one in use would be computed for nothing, and
            their parameters left without gradient: cut it off by ``num_stages`` or ``out_indices``.
        index: Which of its outputs is taken.
        image_size: Of the input.

    Attributes:
        out_channels: Width of that output.
        stride: Pixels of the input per pixel of that output.
    """

    def __init__(self, *, backbone: dict, index: int, image_size: InputSize) -> None:
        super().__init__()
        self.index = index
        device = torch.get_default_device()
        with torch.device("cpu"):  # many backbones can't be built on the meta device
            self.backbone = MODELS.build(backbone)
            self.out_channels, self.stride = self._measure(height_width(image_size))
        if device.type == "meta":
            self.to(device)

    @torch.no_grad()
    def _measure(self, size: tuple[int, int]) -> tuple[int, int]:
        self.backbone.eval()
        feature_map = self._map(torch.zeros(1, 3, *size))
        self.backbone.train()
        return feature_map.shape[1], round(size[1] / feature_map.shape[-1])

    def _map(self, images: Tensor) -> Tensor:
        maps = self.backbone(images)
        if isinstance(maps, Tensor) or not -len(maps) <= self.index < len(maps):
            n = 1 if isinstance(maps, Tensor) else len(maps)
            raise ConfigError(
                f"detail_index={self.index}: the detail backbone gives {n} of its maps; see its out_indices"
            )
        return maps[self.index]

    def forward(self, images: Tensor, vision_map: Tensor) -> Tensor:
        """images (B, 3, H, W) and vision_map (B, C_v, h, w) -> (B, C_v + C, H / stride, W / stride)."""
        feature_map = self._map(images)
        return resize_concat((vision_map, feature_map.to(vision_map.dtype)), size=feature_map.shape[2:])
