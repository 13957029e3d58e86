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

_VISION = dict(
    model_type="intern_vit_6b",
    hidden_size=1024,
    intermediate_size=4096,
    num_hidden_layers=24,
    num_attention_heads=16,
    hidden_act="gelu",
    layer_norm_eps=1e-6,
    image_size=448,
    patch_size=14,
    norm_type="layer_norm",
    qkv_bias=True,
    qk_normalization=False,
)
_LLM = dict(hidden_act="silu", max_position_embeddings=32768, rope_theta=1e6, tie_word_embeddings=False)
_QWEN2 = dict(_LLM, model_type="qwen2", architectures=["Qwen2ForCausalLM"], rms_norm_eps=1e-6)
_INTERNLM2 = dict(
    _LLM,
    model_type="internlm2",
    architectures=["InternLM2ForCausalLM"],
    rms_norm_eps=1e-5,
    bias=False,
    rope_scaling=dict(type="dynamic", factor=2.0),
)
SIZES = {
    "1b": dict(
        _QWEN2,
        hidden_size=896,
        intermediate_size=4864,
        num_hidden_layers=24,
        num_attention_heads=14,
        num_key_value_heads=2,
        vocab_size=151674,
    ),
    "2b": dict(
        _INTERNLM2,
        hidden_size=2048,
        intermediate_size=8192,
        num_hidden_layers=24,
        num_attention_heads=16,
        num_key_value_heads=8,
        vocab_size=92553,
    ),
    "4b": dict(
        _QWEN2,
        hidden_size=2048,
        intermediate_size=11008,
        num_hidden_layers=36,
        num_attention_heads=16,
        num_key_value_heads=2,
        vocab_size=151674,
    ),
    "8b": dict(
        _INTERNLM2,
        hidden_size=4096,
        intermediate_size=14336,
        num_hidden_layers=32,
        num_attention_heads=32,
        num_key_value_heads=8,
        vocab_size=92553,
    ),
}
"""Language models of InternVL2.5 in their original configs."""
NEW_TOKENS = ("[SEG]", "[REJ]")
"""MLLMSeg's weights have rows for them, InternVL's have not."""


def original_config(llm: dict, *, vision: dict | None = None) -> dict:
    """``config.json`` of an original folder with this language model."""
    return dict(
        model_type="internvl_chat",
        architectures=["InternVLChatModel"],
        downsample_ratio=0.5,
        select_layer=-1,
        ps_version="v2",
        template="internvl2_5",
        use_llm_lora=0,
        vision_config=_VISION if vision is None else vision,
        llm_config=llm,
    )


@dataclass(frozen=True, kw_only=True)
class RandomWeights:
    """Tensors of an original folder, made one at a time.

    Args:
        config: From :func:`original_config`.
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
        """Normal numbers of a scale that keeps activations moderate: norms near 1, biases near 0."""
        if name.endswith("num_batches_tracked"):
            return torch.zeros((), dtype=torch.int64)
        generator = torch.Generator().manual_seed(self.seed * 100_003 + index)
        noise = torch.empty(tuple(shape), dtype=self.dtype).normal_(std=0.02, generator=generator)
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
