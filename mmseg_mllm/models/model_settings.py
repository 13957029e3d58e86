"""What a model folder says of itself beside its weights: prompt, protocol, input, mask decoder."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.model import ImgDataPreprocessor
from torch import Tensor, nn

from mmseg_mllm.errors import CheckpointError, ConfigError
from mmseg_mllm.input_size import InputSize, input_size
from mmseg_mllm.models.backbones.families import FAMILIES
from mmseg_mllm.models.decode_heads import DSFFHead
from mmseg_mllm.models.json_object import read_json, write_json
from mmseg_mllm.models.layers.dsff import FUSIONS
from mmseg_mllm.models.segmentors import MLLMSegmentor
from mmseg_mllm.models.segmentors.protocols import protocol_of
from mmseg_mllm.models.settings_rules import Rule, check, known_by, one_of, one_or_two, three_numbers, whole
from mmseg_mllm.prompts import PROMPT_STYLES, prompt_style

SETTINGS_FILE = "mmseg_mllm.json"
FORMAT = 1
_NORM_EPS = 1e-5


@dataclass(frozen=True, kw_only=True)
class HeadSettings:
    """Arguments of ``DSFFHead`` with queries from outside.

    Attributes:
        norm_groups: Of group norm; None is batch norm.
        semantic_scale: None for a fusion without the semantic map.
    """

    channels: int
    fusion: str
    num_heads: int
    feedforward_channels: int
    key_reduction: int
    mask_scale: int
    semantic_scale: int | None
    align_corners: bool
    norm_groups: int | None

    @classmethod
    def of(cls, head: DSFFHead) -> "HeadSettings":
        """Those of a head.

        Raises:
            ConfigError: it has a norm that is neither batch nor group norm.
        """
        norm = head.mask_norm
        grouped = isinstance(norm, nn.GroupNorm)
        if not (grouped or isinstance(norm, nn.modules.batchnorm._BatchNorm)) or norm.eps != _NORM_EPS:
            raise ConfigError(
                f"decode_head.norm_cfg: a model folder knows BN and GN of eps {_NORM_EPS:g}, not {norm}"
            )
        upsample = getattr(head.fusion, "upsample", None)
        return cls(
            channels=head.channels,
            fusion=head.fusion_mode,
            num_heads=head.decoder.self_attn.num_heads,
            feedforward_channels=head.decoder.linear1.out_features,
            key_reduction=head.key_reduction,
            mask_scale=head.mask_scale,
            semantic_scale=upsample and upsample.scale_factor,
            align_corners=head.align_corners,
            norm_groups=norm.num_groups if grouped else None,
        )

    def config(self) -> dict[str, Any]:
        """Config of the head."""
        arguments = {name: value for name, value in asdict(self).items() if value is not None}
        groups = arguments.pop("norm_groups", None)
        norm = dict(type="BN") if groups is None else dict(type="GN", num_groups=groups)
        return dict(type="DSFFHead", norm_cfg=norm, **arguments)


@dataclass(frozen=True, kw_only=True)
class ModelSettings:
    """Settings of a segmentor that a folder's weights do not tell.

    Attributes:
        base: ``model_type`` of the transformers model, in ``FAMILIES``.
        prompt, protocol: As for ``MLLMSegmentor``.
        image_size: Of the input.
        pixel_mean, pixel_std: Of the three colours, 0 to 255.
        decode_head: Of the mask decoder.
    """

    base: str
    prompt: str
    protocol: str
    image_size: InputSize
    pixel_mean: tuple[float, ...]
    pixel_std: tuple[float, ...]
    decode_head: HeadSettings

    @classmethod
    def of(cls, model: MLLMSegmentor, *, preprocessor: ImgDataPreprocessor) -> "ModelSettings":
        """Those of a segmentor.

        Args:
            model: May be on the meta device.
            preprocessor: Of its images; not on the meta device.

        Raises:
            ConfigError: the model has what a folder can't hold.
        """
        if model.detail_backbone is not None:
            raise ConfigError(
                "detail_backbone: a model folder holds the base and the mask decoder alone; use the "
                "checkpoint with its config instead"
            )
        return cls(
            base=model.backbone.model.config.model_type,
            prompt=next(name for name, style in PROMPT_STYLES.items() if style is model.prompt),
            protocol=model.protocol.name,
            image_size=model.backbone.image_size,
            pixel_mean=_three(getattr(preprocessor, "mean", None), 0.0),
            pixel_std=_three(getattr(preprocessor, "std", None), 1.0),
            decode_head=HeadSettings.of(model.decode_head),
        )

    @classmethod
    def read(cls, folder: str | Path) -> "ModelSettings":
        """Those of a folder; nothing in the file names code, and no number is taken unseen.

        Raises:
            CheckpointError: the folder has no such file, or one that says what can't be.
        """
        path = Path(folder, SETTINGS_FILE)
        if not path.is_file():
            raise CheckpointError(
                f"{folder}: has no {SETTINGS_FILE}, which says how its model is used. A folder of an earlier "
                f"version gets one by tools/model_converters/describe_folder.py CONFIG {folder}"
            )
        content = read_json(path)
        if content.pop("format", None) != FORMAT:
            raise CheckpointError(
                f"{path}: is not of format {FORMAT}, which this version reads; update mmseg_mllm, or convert "
                "the model again"
            )
        check(content, _MODEL_RULES, where=str(path))
        check(content["decode_head"], _HEAD_RULES, where=f"{path}: decode_head")
        head = HeadSettings(**content.pop("decode_head"))
        colours = {key: tuple(content.pop(key)) for key in ("pixel_mean", "pixel_std")}
        size = input_size(content.pop("image_size"))
        return cls(**content, **colours, image_size=size, decode_head=head)

    def write(self, folder: str | Path) -> None:
        """Write them into a folder."""
        write_json(Path(folder, SETTINGS_FILE), dict(format=FORMAT, **asdict(self)))


def _three(values: Tensor | None, default: float) -> tuple[float, ...]:
    """Three colours' float32 numbers, in as few digits as tell them."""
    if values is None:
        return (default,) * 3
    return tuple(float(str(np.float32(value))) for value in values.flatten().expand(3).tolist())


_MODEL_RULES: dict[str, Rule] = dict(
    base=one_of(*FAMILIES),
    prompt=known_by(prompt_style, "prompt style"),
    protocol=known_by(protocol_of, "protocol"),
    image_size=one_or_two(whole(1, 8192)),
    pixel_mean=three_numbers(-1000, 1000),
    pixel_std=three_numbers(1e-3, 1000),
    decode_head=Rule(wanted="an object", fits=lambda value: isinstance(value, dict)),
)
_HEAD_RULES: dict[str, Rule] = dict(
    channels=whole(1, 65_536),
    fusion=one_of(*FUSIONS),
    num_heads=whole(1, 1024),
    feedforward_channels=whole(1, 262_144),
    key_reduction=whole(1, 64),
    mask_scale=whole(1, 64),
    semantic_scale=whole(1, 16, or_none=True),
    align_corners=one_of(True, False),
    norm_groups=whole(1, 4096, or_none=True),
)
