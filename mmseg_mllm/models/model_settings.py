"""What a model folder says of itself beside its weights: prompt, protocol, input, mask decoder."""

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from mmseg_mllm.errors import CheckpointError, ConfigError, MMSegMLLMError
from mmseg_mllm.models.json_object import read_json, write_json
from mmseg_mllm.models.layers.dsff import FUSIONS
from mmseg_mllm.models.segmentors.protocols import protocol_of
from mmseg_mllm.prompts import prompt_style

SETTINGS_FILE = "mmseg_mllm.json"
FORMAT = 1
BASES = ("internvl",)
"""Kinds of base (``model_type`` of transformers) that a folder may hold."""
MAX_SIDE = 8192
MAX_CHANNELS = 65_536
# A head's arguments that matter in training alone, or that a folder's use sets anew.
_OF_TRAINING = frozenset(
    ("type", "in_channels", "in_index", "dropout", "dropout_ratio", "with_cp", "compiled", "pretrained")
    + ("loss_decode", "init_cfg", "norm_cfg")
)


@dataclass(frozen=True, kw_only=True)
class HeadSettings:
    """Arguments of ``DSFFHead`` that its weights do not tell.

    Attributes:
        norm_groups: Of group norm; None is batch norm.
        feedforward_channels: None is ``channels``.
        mask_scale, semantic_scale: None is what follows from the base.
    """

    channels: int = 1024
    fusion: str = "dsff"
    num_heads: int = 8
    feedforward_channels: int | None = None
    key_reduction: int = 1
    mask_scale: int | None = None
    semantic_scale: int | None = None
    align_corners: bool = False
    norm_groups: int | None = None

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
        base: ``model_type`` of the transformers model, in ``BASES``.
        prompt, protocol: As for ``MLLMSegmentor``.
        image_size: Side of the square input in pixels.
        pixel_mean, pixel_std: Of the three colours, 0 to 255.
        decode_head: Of the mask decoder.
    """

    base: str
    prompt: str
    protocol: str
    image_size: int
    pixel_mean: tuple[float, ...]
    pixel_std: tuple[float, ...]
    decode_head: HeadSettings

    @classmethod
    def from_config(cls, model: Mapping[str, Any]) -> "ModelSettings":
        """Those of a model config.

        Raises:
            ConfigError: the config has what a folder can't hold.
        """
        if model.get("detail_backbone"):
            raise ConfigError(
                "model.detail_backbone: a model folder holds the base and the mask decoder alone; keep the "
                "checkpoint and use it with its config"
            )
        backbone, preprocessor = model["backbone"], model.get("data_preprocessor") or {}
        arch = backbone["arch"]
        return cls(
            base=arch["model_type"],
            prompt=model.get("prompt", "mllmseg"),
            protocol=model.get("protocol", "independent"),
            image_size=backbone.get("image_size") or _side(arch["vision_config"].get("image_size", 448)),
            pixel_mean=tuple(preprocessor.get("mean") or (0.0,) * 3),
            pixel_std=tuple(preprocessor.get("std") or (1.0,) * 3),
            decode_head=_head_settings(model["decode_head"]),
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
                f"{folder}: has no {SETTINGS_FILE}, which says how its model is used: it was made by an earlier "
                "version. Convert or merge it again, or give it that file with "
                f"tools/model_converters/describe_folder.py CONFIG {folder}"
            )
        content = read_json(path)
        if content.pop("format", None) != FORMAT:
            raise CheckpointError(
                f"{path}: not of format {FORMAT}, which this version reads; update mmseg_mllm, or convert the "
                "model again"
            )
        found = _checked(content, _MODEL_RULES, str(path))
        head = _checked(found["decode_head"], _HEAD_RULES, f"{path}: decode_head")
        means = {key: tuple(found[key]) for key in ("pixel_mean", "pixel_std")}
        return cls(**{**found, **means, "decode_head": HeadSettings(**head)})

    def write(self, folder: str | Path) -> None:
        """Write them into a folder."""
        write_json(Path(folder, SETTINGS_FILE), dict(format=FORMAT, **asdict(self)))


def _head_settings(head: Mapping[str, Any]) -> HeadSettings:
    known = {field.name for field in fields(HeadSettings)} - {"norm_groups"}
    odd = sorted(name for name in head if name not in known | _OF_TRAINING)
    if odd:
        raise ConfigError(f"model.decode_head.{odd[0]}: a model folder has no place for it")
    norm = dict(head.get("norm_cfg") or dict(type="BN"))
    norm.pop("requires_grad", None)
    groups = norm.pop("num_groups", None)
    if norm not in (dict(type="GN"), dict(type="BN"), dict(type="SyncBN")):
        raise ConfigError(
            f"model.decode_head.norm_cfg={head['norm_cfg']}: a model folder knows BN, SyncBN and GN with "
            "num_groups"
        )
    arguments = {name: head[name] for name in known if name in head}
    return HeadSettings(**arguments, norm_groups=groups if norm["type"] == "GN" else None)


def _side(image_size: int | list[int]) -> int:
    return image_size if isinstance(image_size, int) else image_size[0]


_Rule = tuple[str, Callable[[Any], bool]]


def _whole(low: int, high: int, *, or_none: bool = False) -> _Rule:
    def fits(value: Any) -> bool:
        return (or_none and value is None) or (type(value) is int and low <= value <= high)

    return f"a whole number from {low} to {high}" + (" or null" if or_none else ""), fits


def _one_of(*values: Any) -> _Rule:
    names = ", ".join(map(str, values))
    return f"one of {names}", lambda value: type(value) in map(type, values) and value in values


def _numbers(low: float, high: float) -> _Rule:
    def fits(value: Any) -> bool:
        return isinstance(value, list) and len(value) == 3 and all(map(number, value))

    def number(x: Any) -> bool:
        return type(x) in (int, float) and math.isfinite(x) and low <= x <= high

    return f"three numbers from {low:g} to {high:g}", fits


def _known_by(find: Callable[[str], Any], what: str) -> _Rule:
    def fits(value: Any) -> bool:
        try:
            return isinstance(value, str) and bool(find(value))
        except MMSegMLLMError:
            return False

    return f"the name of a {what} of this version", fits


_MODEL_RULES: dict[str, _Rule] = dict(
    base=_one_of(*BASES),
    prompt=_known_by(prompt_style, "prompt style"),
    protocol=_known_by(protocol_of, "protocol"),
    image_size=_whole(1, MAX_SIDE),
    pixel_mean=_numbers(-1000, 1000),
    pixel_std=_numbers(1e-3, 1000),
    decode_head=("an object", lambda value: isinstance(value, dict)),
)
_HEAD_RULES: dict[str, _Rule] = dict(
    channels=_whole(1, MAX_CHANNELS),
    fusion=_one_of(*FUSIONS),
    num_heads=_whole(1, 1024),
    feedforward_channels=_whole(1, MAX_CHANNELS, or_none=True),
    key_reduction=_whole(1, 64),
    mask_scale=_whole(1, 64, or_none=True),
    semantic_scale=_whole(1, 64, or_none=True),
    align_corners=_one_of(True, False),
    norm_groups=_whole(1, 4096, or_none=True),
)


def _checked(content: dict[str, Any], rules: Mapping[str, _Rule], where: str) -> dict[str, Any]:
    unknown = sorted(set(content) - set(rules))
    missing = sorted(set(rules) - set(content))
    if unknown or missing:
        names = ", ".join(f"{name!r:.60}" for name in (unknown or missing)[:3])
        raise CheckpointError(
            f"{where}: {'unknown entries' if unknown else 'lacks'} {names}; it was changed by hand or made by "
            "another version: convert the model again"
        )
    for name, (wanted, fits) in rules.items():
        if not fits(content[name]):
            raise CheckpointError(f"{where}: {name} must be {wanted}, not {content[name]!r:.60}")
    return content
