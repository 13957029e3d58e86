"""FLOPs of a training step, of what it must compute."""

from collections.abc import Mapping
from dataclasses import dataclass

from mmseg_mllm.analysis.complexity import DETAIL_BACKBONE, build_on_meta, count_flops, count_parameters

FORWARD, THROUGH, TRAINED = 1, 2, 3
"""Times its forward pass: a frozen part without gradient, one that gradients pass through, a trained one."""


@dataclass(frozen=True, kw_only=True)
class TrainingFlops:
    """FLOPs of a step: so many for each image, and more for each expression.

    What is computed again in the backward pass, and LoRA's own little share, are not among them: they are
    what a model must compute, as in MFU.
    """

    per_image: int
    per_expression: int

    @classmethod
    def of(cls, model: dict) -> "TrainingFlops":
        """Those of a config's ``model``.

        Raises:
            ConfigError: the config is of another segmentor than an ``MLLMSegmentor``.
        """
        times = _times(
            count_parameters(whole := build_on_meta(model)), count_parameters(whole, trained_only=True)
        )
        merged = build_on_meta(model, merged=True)
        one, two = (
            sum(times[part] * flops for part, flops in count_flops(merged, expressions=k).items())
            for k in (1, 2)
        )
        return cls(per_image=2 * one - two, per_expression=two - one)

    def step(self, *, images: int, expressions: int) -> int:
        """Of a batch with so many images and expressions in all."""
        return images * self.per_image + expressions * self.per_expression


def _times(parameters: Mapping[str, int], trained: Mapping[str, int]) -> dict[str, int]:
    vision = TRAINED if trained["vision tower"] else FORWARD
    # Its last norm alone, which is trained beside LoRA, makes no trained language model.
    most = 2 * trained["language model"] > parameters["language model"]
    return {
        "vision tower": vision,
        "projector": TRAINED if trained["projector"] else vision,
        DETAIL_BACKBONE: TRAINED if trained[DETAIL_BACKBONE] else FORWARD,
        "language model": TRAINED if most else THROUGH,
        "decoder, per image": TRAINED,
        "decoder, per expression": TRAINED,
    }
