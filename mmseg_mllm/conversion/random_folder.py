"""Folders in the original layout with random weights, at any size: to try a conversion without a download."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from mmseg_mllm.compat import quiet_upstream
from mmseg_mllm.conversion.head_names import HEAD_NAMES
from mmseg_mllm.conversion.links import Link, internvl_links, original_shapes
from mmseg_mllm.conversion.original_config import native_model
from mmseg_mllm.conversion.tensor_files import ShardWriter
from mmseg_mllm.models.decode_heads import DSFFHead


@dataclass(frozen=True, kw_only=True)
class RandomWeights:
    """Tensors of an original folder, made one at a time.

    Args:
        config: From :func:`random_sizes.original_config`.
        with_head: Also MLLMSeg's mask decoder.
        dtype: Of all of them.
        seed: Of the numbers; each tensor depends on it and on its name's place only.
    """

    config: dict
    with_head: bool
    dtype: torch.dtype
    seed: int = 0

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Names and shapes, in order."""
        native, shapes = native_model(self.config, where="random weights")
        links = internvl_links(shapes, config=native)
        if self.with_head:
            widths = (native.vision_config.hidden_size, native.text_config.hidden_size)
            patch = native.vision_config.patch_size[0]
            with torch.device("meta"), quiet_upstream():
                head = DSFFHead(in_channels=widths, channels=widths[0], mask_scale=patch)
            shapes |= {name: tuple(tensor.shape) for name, tensor in head.state_dict().items()}
            links += [Link(original=official, native=(ours,)) for ours, official in HEAD_NAMES.items()]
        return original_shapes(links, native=shapes)

    def make(self, index: int, name: str, shape: Sequence[int]) -> Tensor:
        """The tensor of that place and name."""
        return random_tensor(name, shape, dtype=self.dtype, seed=self.seed * 100_003 + index)


def random_tensor(name: str, shape: Sequence[int], *, dtype: torch.dtype, seed: int) -> Tensor:
    """Normal numbers of a scale that keeps activations moderate: norms near 1, biases near 0."""
    if name.endswith("num_batches_tracked"):
        return torch.zeros((), dtype=torch.int64)
    generator = torch.Generator().manual_seed(seed)
    noise = torch.empty(tuple(shape), dtype=dtype).normal_(std=0.02, generator=generator)
    is_scale = len(shape) == 1 and name.endswith(("weight", "running_var"))
    return noise + 1 if is_scale else noise


def write_random_folder(weights: RandomWeights, folder: Path, *, shard_bytes: int = 5 * 10**9) -> None:
    """Write ``config.json`` and weights, in shards as InternVL's are on the hub; no tokenizer.

    Args:
        weights: What to write.
        folder: Must exist.
        shard_bytes: Largest size of a file.
    """
    (folder / "config.json").write_text(json.dumps(weights.config, indent=2), encoding="utf-8")
    writer = ShardWriter(folder=folder, shard_bytes=shard_bytes)
    for i, (name, shape) in enumerate(weights.shapes().items()):
        writer.add(name, weights.make(i, name, shape))
    writer.close()
