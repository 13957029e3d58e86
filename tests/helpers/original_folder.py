"""Tiny folders in the original layout of InternVL and MLLMSeg."""

from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from mmseg_mllm.conversion.random_folder import RandomWeights, write_random_folder
from mmseg_mllm.conversion.random_sizes import original_config
from mmseg_mllm.prompts import SPECIAL_TOKENS

VISION = dict(
    hidden_size=32,
    intermediate_size=40,
    num_hidden_layers=2,
    num_attention_heads=2,
    hidden_act="gelu",
    layer_norm_eps=1e-6,
    image_size=32,
    patch_size=8,
    qkv_bias=True,
)
LLM = dict(
    hidden_size=48,
    intermediate_size=56,
    num_hidden_layers=2,
    num_attention_heads=6,
    num_key_value_heads=2,
    vocab_size=300,
    max_position_embeddings=4096,
    rms_norm_eps=1e-6,
    hidden_act="silu",
    rope_theta=1e6,
    tie_word_embeddings=False,
    pad_token_id=0,
)
FAMILIES = {
    "qwen2": dict(LLM, model_type="qwen2", architectures=["Qwen2ForCausalLM"]),
    "qwen3": dict(
        LLM, model_type="qwen3", architectures=["Qwen3ForCausalLM"], head_dim=16, attention_bias=False
    ),
    "internlm2": dict(
        LLM,
        model_type="internlm2",
        architectures=["InternLM2ForCausalLM"],
        bias=False,
        rope_scaling=dict(type="dynamic", factor=2.0),
    ),
    "phi3": dict(
        LLM,
        model_type="phi3",
        architectures=["Phi3ForCausalLM"],
        original_max_position_embeddings=4096,
        rope_scaling=dict(type="su", short_factor=[1.1] * 4, long_factor=[2.0] * 4),
    ),
}


def write_tokenizer(folder: Path, *, size: int = 300, special: Sequence[str] = SPECIAL_TOKENS) -> None:
    """A word-level fast tokenizer whose last ids are the special tokens."""
    words = ["<|im_start|>", "<|im_end|>", *(f"word{i}" for i in range(size - 2 - len(special)))]
    model = models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="word0")
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="word0")
    fast.add_tokens(list(special), special_tokens=True)
    fast.save_pretrained(folder)


def write_original(
    folder: Path,
    *,
    family: str = "internlm2",
    with_head: bool = True,
    shard_bytes: int = 10**9,
    seed: int = 0,
) -> Path:
    """A whole folder in float32; with a small ``shard_bytes`` in many files."""
    folder.mkdir(parents=True)
    config = original_config(FAMILIES[family], vision=VISION)
    weights = RandomWeights(config=config, with_head=with_head, dtype=torch.float32, seed=seed)
    write_random_folder(weights, folder, shard_bytes=shard_bytes)
    write_tokenizer(folder)
    return folder


def tensors_of(folder: Path) -> dict[str, torch.Tensor]:
    """All tensors of a folder's ``model*.safetensors``."""
    files = sorted(folder.glob("model*.safetensors"))
    return {name: tensor for file in files for name, tensor in load_file(file).items()}


def as_one_file(folder: Path, tensors: dict[str, torch.Tensor], *, kind: str = "safetensors") -> None:
    """Put these tensors in place of a folder's weights.

    Args:
        folder: Changed.
        tensors: By name.
        kind: 'safetensors', 'bin' or 'old bin' (the format before torch 1.6).
    """
    for path in [*folder.glob("model*.safetensors"), *folder.glob("*.index.json")]:
        path.unlink()
    if kind == "safetensors":
        save_file(
            {name: tensor.contiguous() for name, tensor in tensors.items()}, folder / "model.safetensors"
        )
    else:
        torch.save(tensors, folder / "pytorch_model.bin", _use_new_zipfile_serialization=kind == "bin")
