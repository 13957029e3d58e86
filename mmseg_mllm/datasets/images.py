"""Reading images within bounds."""

import contextlib
import importlib
import warnings
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from mmseg_mllm.datasets.limits import MAX_IMAGE_BYTES, MAX_PIXELS, check_limit, no_pillow_bound
from mmseg_mllm.errors import DataError
from mmseg_mllm.lfs import refuse_lfs_pointer

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM", "JPEG2000", "AVIF", "HEIF")
"""Pillow knows more; for some of them it starts other programs. HEIF needs pillow-heif."""

TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What makes an image upright, by its EXIF orientation; 1 and all others mean that it is."""

TIFF_BITS, TIFF_PHOTOMETRIC, WHITE_IS_ZERO = 258, 262, 0

SENSOR_BITS = 14
"""Cameras and scanners give 10 to 14 bits, and some programs store them in 16 as they are."""
_folders_of_dark_images: set[Path] = set()


def read_rgb(path: str | Path, *, upright: bool = False) -> np.ndarray:
    """Decode an image file, of an animation the first picture.

    Grey values of 16 bits are scaled to 8, with a warning, once for a folder, where the brightest needs 14
    bits or fewer: such an image is taken for the dark one that it says it is. Transparency is dropped.

    Args:
        path: The file.
        upright: Turn the image as its EXIF orientation says; else it stays as stored. The orientation of a
            TIFF file says how its rows are stored, and is applied in any case.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        DataError: the file is missing, above the bounds (see ``limits``), can't be decoded, or holds numbers
            whose range is unknown (32 bits, float).
    """
    with _opened(path) as image:
        return _pixels(image, name=str(path), upright=upright)


def decode_rgb(content: bytes, *, name: str, upright: bool = False) -> np.ndarray:
    """:func:`read_rgb` for the content of a file; ``name`` begins the messages."""
    with _decoded(BytesIO(content), name=name, size=len(content)) as image:
        return _pixels(image, name=name, upright=upright)


def rgb_of(image: Image.Image, *, name: str, upright: bool = False) -> np.ndarray:
    """:func:`read_rgb` for an image of Pillow, which keeps its own state; ``name`` begins the messages."""
    with _told(name):
        check_limit(f"{name}: the image has", image.height * image.width, MAX_PIXELS, unit="pixels")
        return _pixels(image, name=name, upright=upright)


def image_size(path: str | Path, *, upright: bool = False) -> tuple[int, int]:
    """Height and width in pixels, from the head of the file alone.

    Arguments are those of :func:`read_rgb`.

    Raises:
        DataError: as for :func:`read_rgb`, as far as the head shows it.
    """
    with _opened(path) as image:
        lies = upright and _orientation(image) >= 5
        return (image.width, image.height) if lies else (image.height, image.width)


def is_turned(path: str | Path) -> bool:
    """Whether the head of the file has an EXIF orientation by which upright and stored image differ.

    Raises:
        DataError: as for :func:`image_size`.
    """
    with _opened(path) as image:
        return _orientation(image) in TURNS


def _pixels(image: Image.Image, *, name: str, upright: bool) -> np.ndarray:
    image.load()
    turn = TURNS.get(_orientation(image)) if upright else None
    pixels = _rgb(image if turn is None else image.transpose(turn), kind=image.format, name=name)
    if pixels is None:
        raise DataError(
            f"{name}: the image holds numbers of mode {image.mode!r} (32 bits, float or LAB), of which "
            "black and white are not known; convert it to RGB or grey of 8 or 16 bits"
        )
    if not pixels.size:
        raise DataError(f"{name}: the image has no pixels")
    return pixels


def _rgb(image: Image.Image, *, kind: str | None, name: str) -> np.ndarray | None:
    """Pixels of a loaded image of a format; None for modes without a known range."""
    # Pillow has 16 bits of PPM, and older ones those of PNG, in the mode of 32 bits.
    if image.mode.startswith("I;16") or (image.mode == "I" and kind in ("PPM", "PNG")):
        tags = getattr(image, "tag_v2", {})
        bits, values = tags.get(TIFF_BITS, (16,))[0], np.asarray(image)
        _warn_of_unused_bits(values, bits=bits, name=name)
        # By the upper byte, as Pillow reduces colours of 16 bits.
        grey = (values >> (bits - 8)).astype(np.uint8)
        if tags.get(TIFF_PHOTOMETRIC) == WHITE_IS_ZERO:
            grey = 255 - grey
        return np.repeat(grey[..., None], 3, axis=2)
    if image.mode in ("I", "F", "LAB"):
        return None
    if "transparency" in image.info:  # would be converted along, with a warning
        image = image.copy()
        del image.info["transparency"]
    # Converting copies, even from RGB.
    return np.array(image if image.mode == "RGB" else image.convert("RGB"))


def _warn_of_unused_bits(values: np.ndarray, *, bits: int, name: str) -> None:
    folder = Path(name).parent
    used = int(values.max()).bit_length()
    if bits == 16 and 0 < used <= SENSOR_BITS and folder not in _folders_of_dark_images:
        _folders_of_dark_images.add(folder)
        warnings.warn(
            f"{name}: the image has 16 bits, and its brightest value is {values.max()} of 65535, so that it "
            f"is dark or black here. If its values are of {used} bits, multiply them by {2 ** (16 - used)} "
            "and store it anew. Said once for all images in this folder",
            stacklevel=2,
        )


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 to 8; 1 where there is none or what there is can't be read."""
    if image.format == "TIFF":  # Pillow turns it as it decodes
        return 1
    try:
        # Not PNG's own method, which decodes the whole image to look behind it.
        return Image.Image.getexif(image).get(ExifTags.Base.Orientation, 1)
    except Exception:  # a block of EXIF that is broken in any way does not keep from seeing the image
        return 1


@contextlib.contextmanager
def _opened(path: str | Path) -> Iterator[Image.Image]:
    path = Path(path)
    if not path.is_file():
        raise DataError(
            f"{path}: the image is missing; check its path; for a data set data_prefix in the config, and "
            "that all images were unpacked"
        )
    refuse_lfs_pointer(path, DataError)
    name = str(path)
    with (
        _told(name),
        path.open("rb") as file,
        _decoded(file, name=name, size=path.stat().st_size) as image,
    ):
        yield image


@contextlib.contextmanager
def _decoded(file: BinaryIO, *, name: str, size: int) -> Iterator[Image.Image]:
    with _told(name):
        check_limit(f"{name}: the image has", size, MAX_IMAGE_BYTES, unit="bytes")
        is_heif = file.read(8)[4:] == b"ftyp"  # the container that HEIC and AVIF share
        file.seek(0)
        try:
            with no_pillow_bound(), Image.open(file, formats=_formats(is_heif=is_heif)) as image:
                check_limit(f"{name}: the image has", image.height * image.width, MAX_PIXELS, unit="pixels")
                yield image
        except UnidentifiedImageError:
            kind = "an HEIF or AVIF image" if is_heif else "no image, or of a kind"
            raise DataError(
                f"{name}: {kind} that can't be read here. Convert it to JPEG or PNG if other programs show "
                "it; else the file is broken, copy it again"
            ) from None


@contextlib.contextmanager
def _told(name: str) -> Iterator[None]:
    """Make whatever Pillow's decoders raise on broken files a message."""
    try:
        yield
    except DataError:
        raise
    except Exception as error:
        raise DataError(f"{name}: the image can't be decoded ({error}); copy or download it again") from None


def _formats(*, is_heif: bool) -> list[str]:
    """Those of ``FORMATS`` that Pillow has."""
    if "HEIF" not in Image.OPEN and is_heif:
        with contextlib.suppress(ImportError):
            importlib.import_module("pillow_heif").register_heif_opener()
    Image.init()
    return [name for name in FORMATS if name in Image.OPEN]
