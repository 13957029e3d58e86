"""Reading images."""

from pathlib import Path

import numpy as np
from PIL import Image

from mmseg_mllm.errors import DataError


def read_rgb(path: str | Path) -> np.ndarray:
    """Decode an image file.

    Returns:
        (H, W, 3) uint8 RGB, as stored (EXIF orientation is not applied).

    Raises:
        DataError: the file is missing or can't be decoded.
    """
    try:
        with Image.open(path) as image:
            return np.array(image.convert("RGB"))
    except FileNotFoundError:
        raise DataError(
            f"{path}: the image is missing; check data_prefix in the config and that all images were unpacked"
        ) from None
    except Exception as error:  # Pillow's decoders raise all sorts of errors on broken files
        raise DataError(f"{path}: the image can't be decoded ({error}); copy or download it again") from None
