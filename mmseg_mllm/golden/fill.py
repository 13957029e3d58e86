"""Weights and inputs of a reference set: each is a function of its name, so none is shipped.

The rules are those of the set's README; its scripts are not run.
"""

import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mmseg_mllm.errors import DataError

DTYPES = {"float32": torch.float32, "int64": torch.int64}


def random_numbers(key: str) -> np.random.RandomState:
    """The generator of one name."""
    return np.random.RandomState(zlib.crc32(key.encode("utf-8")) & 0xFFFFFFFF)


def fill_tensor(name: str, spec: Mapping[str, Any], *, prefix: str) -> Tensor:
    """The tensor that a manifest's entry describes, float32 or int64.

    Raises:
        DataError: the entry asks for an unknown fill or dtype.
    """
    shape, kind = tuple(spec["shape"]), spec["fill"]
    if spec["dtype"] not in DTYPES or kind not in ("values", "normal", "abs_normal"):
        raise DataError(
            f"manifest: {name} has fill {kind!r} and dtype {spec['dtype']!r}, which are not known"
        )
    if kind == "values":
        return torch.tensor(spec["values"], dtype=DTYPES[spec["dtype"]]).reshape(shape)
    noise = random_numbers(prefix + name).standard_normal(shape)
    values = spec["mean"] + spec["std"] * (np.abs(noise) if kind == "abs_normal" else noise)
    for row, factor in spec.get("row_gain", {}).items():
        values[int(row)] *= factor
    return torch.from_numpy(np.asarray(values, dtype=np.float32)).to(DTYPES[spec["dtype"]])


def fill_manifest(manifest: Mapping[str, Any]) -> dict[str, Tensor]:
    """All tensors of a manifest."""
    prefix = manifest.get("prefix", "")
    return {name: fill_tensor(name, spec, prefix=prefix) for name, spec in manifest["tensors"].items()}


def pixel_values(prefix: str, name: str = "pixel_values", *, side: int = 448) -> Tensor:
    """(1, 3, side, side) float32 image: 7 x 7 blocks of noise with finer noise over them."""
    blocks = random_numbers(f"{prefix}{name}.low").standard_normal((1, 3, 7, 7))
    blocks = blocks.repeat(side // 7, axis=2).repeat(side // 7, axis=3)
    noise = random_numbers(f"{prefix}{name}.noise").standard_normal((1, 3, side, side))
    return torch.from_numpy((blocks + 0.5 * noise).astype(np.float32))


def decoder_inputs(
    prefix: str, *, width: int, detail: tuple[int, int], semantic_tokens: int, n_queries: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Inputs of the mask decoder alone.

    Args:
        prefix: Of the set.
        width: C_l, width of the language model.
        detail: Number and width of the detail tokens.
        semantic_tokens: Number of the semantic tokens.
        n_queries: Number of queries.

    Returns:
        (1, *detail), (1, semantic_tokens, width) and (n_queries, 1, width) float32.
    """
    shapes = dict(img_vit=(1, *detail), img_llm=(1, semantic_tokens, width), text=(n_queries, 1, width))
    return tuple(
        torch.from_numpy(
            random_numbers(f"{prefix}txt{width}:{name}").standard_normal(shape).astype(np.float32)
        )
        for name, shape in shapes.items()
    )


def unpack_masks(packed: np.ndarray, shape: tuple[int, ...]) -> Tensor:
    """Inverse of ``numpy.packbits`` of flattened masks; bool of ``shape``."""
    bits = np.unpackbits(packed)[: int(np.prod(shape))]
    return torch.from_numpy(bits.reshape(shape).astype(bool))
