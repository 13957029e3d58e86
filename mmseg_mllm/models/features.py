"""What passes from the vision tower to the LLM, and from the MLLM backbone to the mask decoder."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class VisionFeatures:
    """An image seen once, for any number of questions.

    Attributes:
        detail: (B, C_v, H_v, W_v), vision features before the projector (T_img^1).
        image_tokens: (B, T, C_l), what the LLM gets in place of its image tokens.
        added: Per layer of the LLM, from the first on, (B, T, C_l) that are added to its output at the image
            tokens; most families have none.
    """

    detail: Tensor
    image_tokens: Tensor
    added: tuple[Tensor, ...] = ()

    def of_image(self, b: int, *, times: int) -> "VisionFeatures":
        """One of the images, ``times`` times over."""
        parts = (self.detail, self.image_tokens, *self.added)
        detail, image_tokens, *added = (x[b : b + 1].expand(times, *x.shape[1:]) for x in parts)
        return VisionFeatures(detail=detail, image_tokens=image_tokens, added=tuple(added))


@dataclass(frozen=True, kw_only=True)
class ReadPrefix:
    """What the LLM keeps of B images and the words before them, for any number of questions.

    Attributes:
        detail, semantic: As in :class:`MLLMFeatures`.
        keys_values: Per layer the keys and values (1, heads, B * P, head_dim) of the P tokens of each prefix.
    """

    detail: Tensor
    semantic: Tensor
    keys_values: tuple[tuple[Tensor, Tensor], ...]

    @property
    def nbytes(self) -> int:
        """Memory that this record holds."""
        return sum(
            t.nbytes for t in (self.detail, self.semantic, *(t for kv in self.keys_values for t in kv))
        )


@dataclass(frozen=True, kw_only=True)
class SeenImages:
    """All that depends on B images alone.

    Attributes:
        prefix: What the LLM keeps.
        encoded: (B, C, H, W), what the mask decoder keeps.
    """

    prefix: ReadPrefix
    encoded: Tensor

    @property
    def nbytes(self) -> int:
        """Memory that this record holds."""
        return self.prefix.nbytes + self.encoded.nbytes


@dataclass(frozen=True, kw_only=True)
class MLLMFeatures:
    """Features of B images and N expressions (symbols of the paper, arXiv 2508.04107).

    Attributes:
        detail: (B, C_v, H_v, W_v), vision features before the projector (T_img^1).
        semantic: (B, C_l, H_l, W_l), the LLM's last hidden state at the image tokens (T_img^2).
        queries: (N, C_l), the LLM's last hidden state for each expression (T_seg^0).
        image_index: (N,) int64, which image each expression asks about.
        first_queries: (N, C_l), protocol 'paper': those of the run whose given answers hold the ground truth;
            verdicts are read there. None where they are ``queries``.
        rejected: (N,) bool, protocol 'generate': the model wrote no [SEG]. None where answers are given.
        loss_text: () cross-entropy on the answers, None where none was asked for.
    """

    detail: Tensor
    semantic: Tensor
    queries: Tensor
    image_index: Tensor
    first_queries: Tensor | None = None
    rejected: Tensor | None = None
    loss_text: Tensor | None = None
