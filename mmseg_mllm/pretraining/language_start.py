"""A start for a small language model that lets it find in an image what a text names."""

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase


@torch.no_grad()
def start_by_likeness(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    """Let attention of a fresh language model begin by looking at tokens that are like one's own.

    From a usual random start a small model learns to write plausible answers first, and looks at the image
    thousands of steps later. Here keys begin as queries do, a word is the same at the start of a text and
    within it, and the LM head begins as the embedding. Everything is trained afterwards.

    Args:
        model: Changed in place; with Llama's or Qwen2's names.
        tokenizer: Its tokenizer.
    """
    words = model.get_input_embeddings().weight
    words.normal_(std=0.5)
    vocabulary = tokenizer.get_vocab()
    for word, index in vocabulary.items():
        inner = vocabulary.get(f"Ġ{word}")
        if inner is not None:
            words[index] = words[inner]
    model.get_output_embeddings().weight.copy_(0.2 * words)
    for layer in model.model.language_model.layers:
        attention = layer.self_attn
        keys = attention.k_proj.weight
        torch.nn.init.orthogonal_(keys)
        per_key = attention.q_proj.out_features // keys.shape[0]
        grouped = keys.unflatten(0, (-1, attention.head_dim))
        attention.q_proj.weight.copy_(grouped.repeat_interleave(per_key, dim=0).flatten(0, 1))
