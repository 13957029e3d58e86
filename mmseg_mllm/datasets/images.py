"""Reading images within bounds."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from mmseg_mllm.datasets.limits import MAX_IMAGE_BYTES, MAX_PIXELS, check_limit
from mmseg_mllm.errors import DataError
from mmseg_mllm.lfs import refuse_lfs_pointer

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM", "JPEG2000")
"""Pillow knows more; for some of them it starts other programs."""


def read_rgb(path: str | Path) -> np.ndarray:
    """Decode an image file.

    Returns:
        (H, W, 3) uint8 RGB, as stored (EXIF orientation is not applied).

    Raises:
        DataError: the file is missing, above the bounds (see ``limits``), or can't be decoded.
    """
    with _opened(path) as image:
        # Converting copies, even from RGB.
        return np.array(image if image.mode == "RGB" else image.convert("RGB"))


def image_size(path: str | Path) -> tuple[int, int]:
    """Height and width in pixels, from the head of the file alone.

    Raises:
        DataError: as for :func:`read_rgb`, as far as the head shows it.
    """
    with _opened(path) as image:
        return image.height, image.width


@contextlib.contextmanager
def _opened(path: str | Path) -> Iterator[Image.Image]:
    path = Path(path)
    if not path.is_file():
        raise DataError(
            f"{path}: the image is missing; check data_prefix in the config and that all images were unpacked"
        )
    refuse_lfs_pointer(path, DataError)
    try:
        check_limit(f"{path}: the image has", path.stat().st_size, MAX_IMAGE_BYTES, unit="bytes")
        with Image.open(path, formats=FORMATS) as image:
            check_limit(f"{path}: the image has", image.height * image.width, MAX_PIXELS, unit="pixels")
            yield image
    except DataError:
        raise
    except Exception as error:  # Pillow's decoders raise all sorts of errors on broken files
        raise DataError(f"{path}: the image can't be decoded ({error}); copy or download it again") from None
