"""Masks as Label Studio's brush keeps them: pixels of four bytes, packed by the format rle-pack."""

import numpy as np

WORD_BITS, RUN_BITS = 8, 16
CHANNELS = 4


def brush_rle(mask: np.ndarray) -> list[int]:
    """Bytes of a packed image, red, green, blue and opacity 255 in the mask and 0 outside.

    A head of 32 bits with the number of words, 5 with the bits of a word less one, 4 times 4 with the bits of
    a run's length less one. Then runs: a bit that it is one, two that choose the first of the four lengths,
    its length less one, and its word. The last byte is filled up with zeros.

    Args:
        mask: (H, W) bool.
    """
    flat = mask.reshape(-1)
    starts = np.flatnonzero(np.diff(flat, prepend=~flat[:1]))
    words = flat[starts].astype(np.uint64) * (2**WORD_BITS - 1)
    lengths = np.diff(starts, append=flat.size) * CHANNELS
    # A run that is longer than its field becomes several.
    longest = 2**RUN_BITS
    parts = -(-lengths // longest)
    words = np.repeat(words, parts)
    runs = np.full(len(words), longest, np.uint64)
    ends = np.cumsum(parts) - 1
    runs[ends] = lengths - (parts - 1) * longest
    is_run = np.uint64(2 ** (2 + RUN_BITS + WORD_BITS))
    packed = is_run | ((runs - 1) << np.uint64(WORD_BITS)) | words
    head = [_bits(flat.size * CHANNELS, 32), _bits(WORD_BITS - 1, 5), *[_bits(RUN_BITS - 1, 4)] * 4]
    return np.packbits(np.concatenate([*head, _bits(packed, 3 + RUN_BITS + WORD_BITS)])).tolist()


def _bits(numbers: int | np.ndarray, count: int) -> np.ndarray:
    """The lowest bits of each number one after the other, the highest of them first; uint8 of 0 and 1."""
    places = np.arange(count - 1, -1, -1, dtype=np.uint64)
    return ((np.asarray(numbers, np.uint64)[..., None] >> places) & np.uint64(1)).astype(np.uint8).reshape(-1)
