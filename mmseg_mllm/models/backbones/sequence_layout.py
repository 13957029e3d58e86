"""One layout for every way of asking: a prefix with the image, then branches that don't see one another."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

PREFIX = 0
"""Segment of the prefix; branches count from 1."""
PADDING = -1


@dataclass(frozen=True, kw_only=True)
class Branch:
    """One continuation of the prefix.

    Attributes:
        ids: Token ids.
        slots: Offsets in ``ids`` of the [SEG] / [REJ] tokens, one per expression. An offset may equal
            ``len(ids)``: a slot's features are read one token before it, so the slot itself can be cut off.
        answer_start: Offset of the first supervised token, None to supervise nothing.
    """

    ids: Sequence[int]
    slots: Sequence[int]
    answer_start: int | None = None

    def __post_init__(self) -> None:
        if not self.slots or min(self.slots) < 1 or self.answer_start == 0:
            raise ValueError("a branch needs a question before its answer, and at least one slot in it")


@dataclass(frozen=True, kw_only=True)
class SequenceLayout:
    """Token sequences of B images, padded to L tokens on the right.

    Hidden states are read one position before their token, as in MLLMSeg's code; the index pairs below
    are (image, position) of what is read.

    Attributes:
        input_ids: (B, L) int64.
        position_ids: (B, L) int64; they restart after the prefix in each branch.
        segment_ids: (B, L) int64; 0 for the prefix, k for branch k of the image, -1 for padding.
        image_positions: (B, T) int64, positions of the T image tokens.
        slot_reads: (N, 2) int64, one per expression in order.
        answer_reads: (M, 2) int64, one per supervised token.
        answer_ids: (M,) int64, the token that should follow.
        answer_weights: (M,) float32, summing to 1: a mean over the branches of the mean over their tokens.
    """

    input_ids: Tensor
    position_ids: Tensor
    segment_ids: Tensor
    image_positions: Tensor
    slot_reads: Tensor
    answer_reads: Tensor
    answer_ids: Tensor
    answer_weights: Tensor

    def attention_mask(self) -> Tensor:
        """(B, 1, L, L) bool: a token sees the prefix and its own branch, up to itself."""
        query, key = self.segment_ids[:, :, None], self.segment_ids[:, None, :]
        visible = (key == PREFIX) | (key == query)
        # Padding sees itself only, so that no row of the softmax is empty.
        visible &= (query != PADDING) | (key == PADDING)
        return (visible & torch.ones_like(visible[0]).tril()).unsqueeze(1)

    def to(self, device: torch.device | str) -> "SequenceLayout":
        """The same layout on another device."""
        return replace(self, **{f.name: getattr(self, f.name).to(device) for f in fields(self)})


def pack(
    *, prefixes: Sequence[Sequence[int]], branches: Sequence[Sequence[Branch]], image_token_id: int
) -> SequenceLayout:
    """Lay out B prefixes, each followed by its branches.

    Args:
        prefixes: B token id lists, each with the same number of image tokens.
        branches: B lists of branches.
        image_token_id: Id of the image token.
    """
    rows = [_row(prefix, row_branches) for prefix, row_branches in zip(prefixes, branches, strict=True)]
    length = max(len(row["ids"]) for row in rows)
    n_branches = sum(len(row_branches) for row_branches in branches)
    answers = [
        (b, read, token, weight / n_branches)
        for b, row in enumerate(rows)
        for read, token, weight in row["answers"]
    ]
    input_ids = _padded([row["ids"] for row in rows], length, fill=0)
    segment_ids = _padded([row["segments"] for row in rows], length, fill=PADDING)
    is_image = (input_ids == image_token_id) & (segment_ids == PREFIX)
    return SequenceLayout(
        input_ids=input_ids,
        position_ids=_padded([row["positions"] for row in rows], length, fill=0),
        segment_ids=segment_ids,
        image_positions=is_image.nonzero()[:, 1].view(len(rows), -1),
        slot_reads=torch.tensor(
            [(b, read) for b, row in enumerate(rows) for read in row["slots"]], dtype=torch.long
        ).view(-1, 2),
        answer_reads=torch.tensor([a[:2] for a in answers], dtype=torch.long).view(-1, 2),
        answer_ids=torch.tensor([a[2] for a in answers], dtype=torch.long),
        answer_weights=torch.tensor([a[3] for a in answers], dtype=torch.float32),
    )


def _row(prefix: Sequence[int], branches: Sequence[Branch]) -> dict[str, list]:
    """One image's sequence; positions in ``slots`` and ``answers`` are where the hidden state is read."""
    row = dict(
        ids=list(prefix),
        positions=list(range(len(prefix))),
        segments=[PREFIX] * len(prefix),
        slots=[],
        answers=[],
    )
    for k, branch in enumerate(branches, start=1):
        start = len(row["ids"])
        row["slots"] += [start + slot - 1 for slot in branch.slots]
        if branch.answer_start is not None:
            supervised = range(branch.answer_start, len(branch.ids))
            row["answers"] += [(start + i - 1, branch.ids[i], 1 / len(supervised)) for i in supervised]
        row["ids"] += branch.ids
        row["positions"] += range(len(prefix), len(prefix) + len(branch.ids))
        row["segments"] += [k] * len(branch.ids)
    return row


def _padded(rows: list[list[int]], length: int, *, fill: int) -> Tensor:
    return torch.tensor([row + [fill] * (length - len(row)) for row in rows], dtype=torch.long)
