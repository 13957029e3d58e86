"""What sets one family of MLLMs apart from another; ``families/`` has a file for each."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from math import isqrt
from typing import Any, ClassVar

from torch import Tensor, nn
from transformers import PretrainedConfig, PreTrainedModel

from mmseg_mllm.errors import ConfigError
from mmseg_mllm.input_size import InputSize, height_width
from mmseg_mllm.models.backbones.chat_format import ChatFormat
from mmseg_mllm.models.features import VisionFeatures


class Family(ABC):
    """Names, sizes, vision map and positions of a family's models in transformers.

    Attributes:
        chat: Its chat format.
        vision, projector: Paths of the modules below ``model.model`` that make the vision map, and the image
            tokens of it.
        text_model: Path of the language model.
        both_ways: Whether the language model lets an image's tokens see one another both ways.
        squares_only: Whether the vision tower takes square images alone.
        vision_types, text_types: The ``model_type`` that ``vision_config`` and ``text_config`` may be of.
    """

    chat: ClassVar[ChatFormat]
    vision: ClassVar[tuple[str, ...]]
    projector: ClassVar[tuple[str, ...]]
    text_model: ClassVar[str] = "language_model"
    both_ways: ClassVar[bool] = False
    squares_only: ClassVar[bool] = True
    vision_types: ClassVar[tuple[str, ...]]
    text_types: ClassVar[tuple[str, ...]]

    @abstractmethod
    def image_size(self, config: PretrainedConfig) -> int:
        """Side of the input, in pixels, that the model is used with if nothing else is said."""

    @abstractmethod
    def patch_size(self, config: PretrainedConfig) -> int:
        """Side, in pixels, of a cell of the vision map."""

    @abstractmethod
    def downsample(self, config: PretrainedConfig) -> int:
        """Side, in cells of the vision map, of what becomes one image token."""

    @abstractmethod
    def see(self, model: PreTrainedModel, images: Tensor) -> VisionFeatures:
        """The vision map and the image tokens, both in row order, of (B, 3, H, W) normalised images."""

    def positions(self, is_image: Sequence[bool], *, grid: tuple[int, int]) -> list[list[int]]:
        """Rows of positions of a prefix; what follows goes on after the largest.

        Args:
            is_image: Of each of its tokens, whether it is one of the image's.
            grid: Rows and columns of these.
        """
        return [list(range(len(is_image)))]

    def position_argument(self, positions: Tensor) -> Tensor:
        """(R, B, L) rows of positions as the language model takes them."""
        return positions[0]

    def vision_arguments(self, at_image: Tensor, vision: VisionFeatures) -> dict[str, Any]:
        """Further arguments of the language model where it reads image tokens.

        Args:
            at_image: (B, L) bool, where these are.
            vision: What :meth:`see` gave, of as many images.
        """
        return {}

    def text_mask(
        self, model: PreTrainedModel, *, embeds: Tensor, mask: Tensor, at_image: Tensor
    ) -> Tensor | dict[str, Tensor]:
        """The language model's ``attention_mask`` for whole texts with an image in each.

        Args:
            model: The whole one.
            embeds: (K, L, C) of the tokens.
            mask, at_image: (K, L) bool, what is no padding, and what is the image's.
        """
        return mask.long()

    def modules(self, model: PreTrainedModel, paths: Sequence[str]) -> list[nn.Module]:
        """The modules at paths below ``model.model``."""
        return [model.model.get_submodule(path) for path in paths]

    def check_image_size(self, size: InputSize, config: PretrainedConfig) -> None:
        """See that the model takes images of this size.

        Raises:
            ConfigError: it does not.
        """
        own, step = self.image_size(config), self.patch_size(config) * self.downsample(config)
        if size == own:
            return
        sides = height_width(size)
        if self.squares_only and sides[0] != sides[1]:
            raise ConfigError(
                f"image_size={size}: {config.model_type} takes square images alone; give one number, such "
                f"as {own}"
            )
        for side in sides:
            if side % step or side < step:
                low = max(side // step, 1) * step
                what = "" if sides[0] == sides[1] else f"{side} "
                raise ConfigError(
                    f"image_size={size}: {what}must be a multiple of {step}, such as {low} or {low + step}"
                )
        tokens, most = sides[0] * sides[1] // step**2, config.text_config.max_position_embeddings
        if tokens >= most:
            raise ConfigError(
                f"image_size={size}: such an image takes {tokens:,} tokens, the language model reads {most:,}"
            )


def to_map(tokens: Tensor) -> Tensor:
    """(B, S * S, C) tokens of a square in row order -> (B, C, S, S)."""
    side = isqrt(tokens.shape[1])
    return tokens.transpose(1, 2).unflatten(2, (side, side))
