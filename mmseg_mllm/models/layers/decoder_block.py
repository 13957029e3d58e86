"""The attention block of MLLMSeg: a post-norm transformer decoder layer that can be run in two halves."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmseg_mllm.compat import without_autocast


class DecoderBlock(nn.Module):
    """Self-attention, cross-attention, feed-forward and a final norm, without positional embedding.

    Computes what ``torch.nn.TransformerDecoder`` with one post-norm ReLU layer and a final norm does. The
    first half does not see the memory, so its result can serve many memories.

    Args:
        channels: Width C of tokens and memory.
        num_heads: Attention heads.
        feedforward_channels: Hidden width of the feed-forward part.
        dropout: Dropout rate of attention weights, of each part's output and inside the feed-forward part.
    """

    def __init__(
        self, *, channels: int, num_heads: int = 8, feedforward_channels: int = 1024, dropout: float = 0.1
    ) -> None:
        super().__init__()
        self.self_attn = nn.MultiheadAttention(channels, num_heads, dropout=dropout, batch_first=True)
        self.cross_attn = nn.MultiheadAttention(channels, num_heads, dropout=dropout, batch_first=True)
        self.linear1 = nn.Linear(channels, feedforward_channels)
        self.linear2 = nn.Linear(feedforward_channels, channels)
        self.norm1 = nn.LayerNorm(channels)
        self.norm2 = nn.LayerNorm(channels)
        self.norm3 = nn.LayerNorm(channels)
        self.final_norm = nn.LayerNorm(channels)
        self.dropout = nn.Dropout(dropout)

    def forward(self, tokens: Tensor, memory: Tensor, *, keys: Tensor | None = None) -> Tensor:
        """tokens (B, L, C), memory (B, M, C), keys as in :meth:`attend_self` -> (B, L, C)."""
        return self.attend_memory(self.attend_self(tokens, keys=keys), memory)

    def attend_self(self, tokens: Tensor, *, keys: Tensor | None = None) -> Tensor:
        """First half: self-attention and its norm.

        Args:
            tokens: (B, L, C).
            keys: (B, M, C), fewer tokens that stand for all in keys and values; the tokens themselves by
                default.

        Returns:
            (B, L, C).
        """
        attended = _attend(self.self_attn, tokens, tokens if keys is None else keys)
        return self.norm1(tokens + self.dropout(attended))

    def attend_memory(self, tokens: Tensor, memory: Tensor) -> Tensor:
        """Second half: cross-attention, feed-forward, final norm. (B, L, C) and (B, M, C) -> (B, L, C)."""
        # Dropout of the weights or of the result is drawn for each position.
        alike = memory.shape[1] == 1 and not (self.training and self.dropout.p)
        attended = self._single(memory) if alike else self._cross(tokens, memory)
        tokens = self.norm2(tokens + self.dropout(attended))
        hidden = self.dropout(F.relu(self.linear1(tokens)))
        tokens = self.norm3(tokens + self.dropout(self.linear2(hidden)))
        return self.final_norm(tokens)

    def attend_vectors(self, tokens: Tensor, vectors: Tensor, index: Tensor) -> Tensor:
        """Second half for N memories of a single token: ``attend_memory(tokens[index], vectors[:, None])``.

        In evaluation the first linear layer runs once per image instead of once per vector. Its input is the
        layer norm of token plus vector; with both centred that is (token + vector) / deviation, whose two
        parts pass the layer each for itself, and the deviation follows from their products.

        Args:
            tokens: (B, L, C) from :meth:`attend_self`.
            vectors: (N, C).
            index: (N,) int64, which tokens each vector meets.

        Returns:
            (N, L, C).
        """
        if self.training:
            return self.attend_memory(tokens[index], vectors.unsqueeze(1))
        shift = self._single(vectors)
        # Variances are differences of large numbers where features are large.
        wide = torch.promote_types(tokens.dtype, torch.float32)
        token, shift = _centred(tokens.to(wide)), _centred(shift.to(wide))
        with without_autocast(token):
            product = (token @ shift.T)[index, :, torch.arange(len(index), device=index.device)]
        variance = (_power(token)[index] + 2 * product + _power(shift)[:, None]) / token.shape[-1]
        scale = (variance + self.norm2.eps).rsqrt().unsqueeze(2)
        weight = self.linear1.weight * self.norm2.weight
        bias = F.linear(self.norm2.bias, self.linear1.weight, self.linear1.bias)
        # In place: on CPUs, fresh memory for N maps takes longer than filling it.
        hidden = F.linear(token.to(weight.dtype), weight)[index]
        hidden.add_(F.linear(shift.to(weight.dtype), weight).unsqueeze(1)).mul_(scale).add_(bias).relu_()
        tokens = token[index].add_(shift.unsqueeze(1)).mul_(scale)
        tokens = tokens.mul_(self.norm2.weight).add_(self.norm2.bias).add_(self.linear2(hidden))
        return self.final_norm(self.norm3(tokens.to(weight.dtype)))

    def _cross(self, tokens: Tensor, memory: Tensor) -> Tensor:
        return _attend(self.cross_attn, tokens, memory)

    def _single(self, memory: Tensor) -> Tensor:
        """Attention to a single token: all weights are 1, so the same vector (B, 1, C) for every position."""
        attn = self.cross_attn
        value_weight = attn.in_proj_weight.chunk(3)[2]
        value_bias = attn.in_proj_bias.chunk(3)[2]
        return attn.out_proj(F.linear(memory, value_weight, value_bias))


def _centred(x: Tensor) -> Tensor:
    return x - x.mean(dim=-1, keepdim=True)


def _power(x: Tensor) -> Tensor:
    return x.square().sum(dim=-1)


def _attend(attn: nn.MultiheadAttention, tokens: Tensor, memory: Tensor) -> Tensor:
    """What ``attn(tokens, memory, memory)`` computes, (B, L, C) and (B, M, C) -> (B, L, C).

    Always by ``scaled_dot_product_attention``, whose memory is linear in L and M where it has no dropout: in
    evaluation torch's module takes a path of its own that, on CPUs, holds the weights of all pairs.
    """
    if memory is tokens:
        q, k, v = F.linear(tokens, attn.in_proj_weight, attn.in_proj_bias).chunk(3, dim=-1)
    else:
        sizes = [attn.embed_dim, 2 * attn.embed_dim]
        weights, biases = attn.in_proj_weight.split(sizes), attn.in_proj_bias.split(sizes)
        q = F.linear(tokens, weights[0], biases[0])
        k, v = F.linear(memory, weights[1], biases[1]).chunk(2, dim=-1)
    q, k, v = (x.unflatten(-1, (attn.num_heads, -1)).transpose(1, 2) for x in (q, k, v))
    dropout = attn.dropout if attn.training else 0.0
    attended = F.scaled_dot_product_attention(q, k, v, dropout_p=dropout)
    return attn.out_proj(attended.transpose(1, 2).flatten(2))
