"""One layout for every way of asking: prefixes with an image, then branches that don't see one another."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from math import isqrt

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Branch:
    """One continuation of the prefix.

    Attributes:
        ids: Token ids.
        slots: Offsets in ``ids`` of the [SEG] / [REJ] tokens, one per expression; none where answers are
            plain text. An offset may equal ``len(ids)``: a slot's features are read one token before it, so
            the slot itself can be cut off.
        answer_start: Offset of the first supervised token, None to supervise nothing.
    """

    ids: Sequence[int]
    slots: Sequence[int]
    answer_start: int | None = None

    def __post_init__(self) -> None:
        empty = not self.slots and self.answer_start is None
        if empty or min(self.slots, default=1) < 1 or self.answer_start == 0:
            raise ValueError("a branch needs a question before its answer, and a slot or a supervised answer")


@dataclass(frozen=True, kw_only=True)
class BranchGrid:
    """Which tokens attend together: B prefixes of P tokens stand first in the row, then N branches.

    Attributes:
        images: B.
        prefix_length: P.
        image: (N,) int64, whose prefix a branch continues.
        tokens: (N, S) int64, where a branch's tokens stand in the row; shorter ones repeat their last.
        cells: (L - B * P,) int64, where a branch token of the row stands in ``tokens``, flattened.
        both_ways: First of the prefix's tokens that see one another both ways, and the one after their last;
            None where every token sees only what is before it.
    """

    images: int
    prefix_length: int
    image: Tensor
    tokens: Tensor
    cells: Tensor
    both_ways: tuple[int, int] | None = None

    @property
    def start(self) -> int:
        """Where branches begin in the row."""
        return self.images * self.prefix_length

    def mask(self, window: int | None = None) -> Tensor:
        """(1, 1, S, P + S) bool: a branch token sees its prefix and its branch, up to itself.

        Args:
            window: How many tokens it sees at most, the nearest and itself; None for all.
        """
        n, p = self.tokens.shape[1], self.prefix_length
        mask = torch.ones(n, p + n, dtype=torch.bool, device=self.tokens.device).tril(p)
        return (mask if window is None else mask.triu(p - window + 1))[None, None]

    def prefix_mask(self, window: int | None = None) -> Tensor | None:
        """(1, 1, P, P) bool, what a prefix's token sees; None where that is everything up to itself.

        Args:
            window: As in :meth:`mask`; a token that sees both ways sees as far ahead as it may.
        """
        p = self.prefix_length
        if self.both_ways is None and (window is None or window >= p):
            return None
        mask = torch.ones(p, p, dtype=torch.bool, device=self.tokens.device).tril()
        if self.both_ways is not None:
            both = slice(*self.both_ways)
            mask[both, both] = True
        return (mask if window is None else mask.triu(1 - window))[None, None]


@dataclass(frozen=True, kw_only=True)
class SequenceLayout:
    """Token sequences of B images in one row of L tokens, without padding.

    Hidden states are read one position before their token, as in MLLMSeg's code; ``*_reads`` are where. Image
    tokens that see one another both ways are read where they stand.

    Attributes:
        input_ids: (L,) int64.
        position_ids: (R, L) int64, R rows of positions (see ``Family.positions``); they begin in each prefix,
            and go on after its largest in each branch.
        grid: What sees what.
        image_positions: (B, T) int64, positions of the T image tokens, row by row of the image.
        image_reads: (B, T) int64.
        image_grid: Their rows and columns.
        slot_images: (E,) int64, the image of each expression, in order.
        slot_reads: (E,) int64.
        answer_reads: (M,) int64, one per supervised token.
        answer_ids: (M,) int64, the token that should follow.
        answer_weights: (M,) float32, summing to 1: a mean over the branches of the mean over their tokens.
    """

    input_ids: Tensor
    position_ids: Tensor
    grid: BranchGrid
    image_positions: Tensor
    image_reads: Tensor
    image_grid: tuple[int, int]
    slot_images: Tensor
    slot_reads: Tensor
    answer_reads: Tensor
    answer_ids: Tensor
    answer_weights: Tensor

    def to(self, device: torch.device | str) -> "SequenceLayout":
        """The same layout on another device."""
        parts = [
            {f.name: x for f in fields(record) if isinstance(x := getattr(record, f.name), Tensor)}
            for record in (self.grid, self)
        ]
        moved = iter(_moved([x for part in parts for x in part.values()], torch.device(device)))
        grid, own = (dict(zip(part, moved, strict=False)) for part in parts)
        return replace(self, grid=replace(self.grid, **grid), **own)


def pack(
    *,
    prefix: Sequence[int],
    branches: Sequence[Sequence[Branch]],
    image_token_id: int,
    image_grid: tuple[int, int] | None = None,
    positions: Sequence[Sequence[int]] | None = None,
    both_ways: bool = False,
) -> SequenceLayout:
    """Lay out the prefix once for each of B images, then their branches, image by image.

    Args:
        prefix: Token ids, the image's T tokens among them.
        branches: B lists of branches.
        image_token_id: Id of the image token.
        image_grid: Rows and columns of the image's tokens; those of a square by default.
        positions: R rows of the prefix's positions; 0, 1, ... by default.
        both_ways: Whether the image's tokens see one another both ways.
    """
    B, P = len(branches), len(prefix)
    flat = [(b, branch) for b, image_branches in enumerate(branches) for branch in image_branches]
    starts = [B * P]
    for _, branch in flat:
        starts.append(starts[-1] + len(branch.ids))
    placed = [(b, branch, start) for (b, branch), start in zip(flat, starts, strict=False)]
    width = max((len(branch.ids) for _, branch in flat), default=0)
    answers = [
        (start + i - 1, branch.ids[i], 1 / (len(branch.ids) - branch.answer_start) / len(flat))
        for _, branch, start in placed
        if branch.answer_start is not None
        for i in range(branch.answer_start, len(branch.ids))
    ]
    positions = positions or [range(P)]
    after = max(map(max, positions)) + 1
    in_prefix = [i for i, token in enumerate(prefix) if token == image_token_id]
    image_positions = _long([b * P + i for b in range(B) for i in in_prefix]).view(B, -1)
    return SequenceLayout(
        input_ids=_long([*list(prefix) * B, *(token for _, branch in flat for token in branch.ids)]),
        position_ids=_long(
            [
                [*list(row) * B, *(after + i for _, branch in flat for i in range(len(branch.ids)))]
                for row in positions
            ]
        ),
        grid=BranchGrid(
            images=B,
            prefix_length=P,
            image=_long([b for b, _ in flat]),
            tokens=_long(
                [start + min(i, len(branch.ids) - 1) for _, branch, start in placed for i in range(width)]
            ).view(len(flat), width),
            cells=_long(
                [n * width + i for n, (_, branch) in enumerate(flat) for i in range(len(branch.ids))]
            ),
            both_ways=(in_prefix[0], in_prefix[-1] + 1) if both_ways else None,
        ),
        image_positions=image_positions,
        image_reads=image_positions if both_ways else image_positions - 1,
        image_grid=image_grid or (isqrt(len(in_prefix)),) * 2,
        slot_images=_long([b for b, branch in flat for _ in branch.slots]),
        slot_reads=_long([start + slot - 1 for _, branch, start in placed for slot in branch.slots]),
        answer_reads=_long([read for read, _, _ in answers]),
        answer_ids=_long([token for _, token, _ in answers]),
        answer_weights=torch.tensor([weight for _, _, weight in answers], dtype=torch.float32),
    )


def _long(numbers: list) -> Tensor:
    return torch.tensor(numbers, dtype=torch.long)


def _moved(tensors: Sequence[Tensor], device: torch.device) -> list[Tensor]:
    """Tensors, wider numbers first, on a device: in one copy that does not wait for the device's work."""
    if all(x.device == device for x in tensors):
        return list(tensors)
    flat = torch.cat([x.flatten().view(torch.uint8) for x in tensors])
    if device.type == "cuda":
        flat = flat.pin_memory()
    parts = flat.to(device, non_blocking=True).split([x.nbytes for x in tensors])
    return [part.view(x.dtype).view(x.shape) for part, x in zip(parts, tensors, strict=True)]
