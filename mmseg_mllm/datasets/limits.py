"""Bounds on what is read, so that a broken or crafted file ends with a message and not with all memory.

They are far above the real datasets. The environment variable ``MMSEG_MLLM_LIMITS`` multiplies them all.
"""

import contextlib
import math
import os
import threading
from collections.abc import Iterator

from PIL import Image

from mmseg_mllm.errors import ConfigError, DataError

VARIABLE = "MMSEG_MLLM_LIMITS"

MAX_JSON_BYTES = 512 * 2**20
MAX_JSON_MEMORY = 2 * 2**30
MAX_PICKLE_BYTES = 80 * 2**20
MAX_PICKLE_OBJECTS = 6_000_000
"""Values, marks and memo entries; a pickle of RefCOCO's size has about 4 million. One takes up to about 150
bytes, so that all stays below 1 GiB."""
MAX_IMAGE_BYTES = 256 * 2**20
MAX_PIXELS = 50_000_000
"""Of an image or mask; decoding takes about 11 bytes for each."""
MAX_RECORDS = 2_000_000
"""Sentences of a file and annotation ids of its refs."""
MAX_TEXT = 10_000
"""Characters of an expression."""
MAX_POLYGONS = 10_000
MAX_OUTLINE = 2_000_000
"""Pixels along all polygons of an annotation; pycocotools takes about 100 bytes for each."""


def check_limit(what: str, value: int, limit: int, *, unit: str) -> None:
    """Compare with a bound.

    Args:
        what: Begins the message, such as 'refs.p: the file has'.
        value: What it has.
        limit: A constant of this module.
        unit: Of both.

    Raises:
        DataError: the value is above the bound.
        ConfigError: ``MMSEG_MLLM_LIMITS`` is no number above 0.
    """
    if value <= limit or value <= limit * _factor():
        return
    needed = math.ceil(value / limit)
    raise DataError(
        f"{what} {value:,} {unit}, the bound is {round(limit * _factor()):,}. If the file is right, raise "
        f"all bounds with the environment variable {VARIABLE}={needed}"
    )


def _factor() -> float:
    text = os.environ.get(VARIABLE, "1")
    try:
        factor = float(text)
    except ValueError:
        factor = 0.0
    if not 0 < factor < math.inf:
        raise ConfigError(f"{VARIABLE}={text}: not a number above 0 to multiply all bounds with")
    return factor


@contextlib.contextmanager
def no_pillow_bound() -> Iterator[None]:
    """Lift Pillow's bound on pixels, in place of which ``MAX_PIXELS`` counts.

    Pillow's can't be given to a call: it is one number for the process, and a warning comes below it.
    """
    global _users, _pillow_bound
    with _lock:
        if _users == 0:
            _pillow_bound, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        _users += 1
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if _users == 0:
                Image.MAX_IMAGE_PIXELS = _pillow_bound


_lock = threading.Lock()
_users, _pillow_bound = 0, None
