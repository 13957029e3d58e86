"""Whatever people hold an image in, to pixels."""

import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from http.client import HTTPException
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote

import numpy as np
from PIL import Image

from mmseg_mllm.datasets.images import decode_rgb, read_rgb, rgb_of
from mmseg_mllm.datasets.limits import MAX_IMAGE_BYTES, check_limit
from mmseg_mllm.errors import ConfigError, DataError
from mmseg_mllm.version import __version__

ImageSource = str | Path | bytes | bytearray | memoryview | BinaryIO | Image.Image | np.ndarray

URL_STARTS = ("http://", "https://")
URL_TIMEOUT, URL_SECONDS = 20.0, 120.0
"""Seconds that a server may be silent, and that a download may take in all."""
_CHUNK = 2**16
_URL_CHARACTERS = "%/:?#[]@!$&'()*+,;=~"
"""That stay as they are; % begins what is quoted already."""


def load_image(source: ImageSource, *, upright: bool = True) -> np.ndarray:
    """Pixels of an image, (H, W, 3) uint8 RGB.

    Args:
        source: A path, an http(s) URL, the bytes of a file, a file open for reading bytes, an image of
            Pillow, or (H, W, 3) uint8 RGB, which is given back as it is.
        upright: Turn all but arrays as their EXIF orientation says; else they are taken as stored.

    Raises:
        DataError: the image is missing, broken, can't be fetched, or is above the bounds (see
            ``datasets/limits.py``).
        ConfigError: it is none of these things.
    """
    if isinstance(source, np.ndarray):
        if source.ndim != 3 or source.shape[2] != 3 or source.dtype != np.uint8 or not source.size:
            raise ConfigError(
                f"an image must be (H, W, 3) uint8 RGB, this array is {source.shape} {source.dtype}"
            )
        return source
    if isinstance(source, Image.Image):
        return rgb_of(source, name=getattr(source, "filename", "") or "the image", upright=upright)
    if isinstance(source, str) and source.lower().startswith(URL_STARTS):
        return decode_rgb(download(source), name=source, upright=upright)
    if isinstance(source, str | Path):
        return read_rgb(source, upright=upright)
    if isinstance(source, bytes | bytearray | memoryview):
        return decode_rgb(bytes(source), name="the image", upright=upright)
    if hasattr(source, "read"):
        return decode_rgb(_read(source), name=_name_of(source), upright=upright)
    raise ConfigError(
        "an image is a path, a URL, bytes, a file open for reading bytes, an image of Pillow or a NumPy "
        f"array, not {type(source).__name__}"
    )


def _read(file: BinaryIO) -> bytes:
    name, content = _name_of(file), bytearray()
    try:
        while chunk := file.read(_CHUNK):
            if not isinstance(chunk, bytes):
                raise ConfigError(f"{name}: gives text; open it with open(path, 'rb')")
            content += chunk
            check_limit(f"{name}: the image has at least", len(content), MAX_IMAGE_BYTES, unit="bytes")
    except (OSError, ValueError) as error:  # closed, open for writing, or text that is none
        raise DataError(f"{name}: can't be read ({error})") from None
    return bytes(content)


def _name_of(file: BinaryIO) -> str:
    name = getattr(file, "name", None)
    return name if isinstance(name, str) else "the file"


def download(url: str, *, headers: Mapping[str, str] | None = None, body: bytes | None = None) -> bytes:
    """Content of an http(s) URL, within a bound of bytes and of time.

    Args:
        url: What must be quoted in it, such as spaces, is.
        headers: For this address alone, not for one that it leads on to.
        body: To post.

    Raises:
        DataError: it can't be had.
    """
    end, content = time.monotonic() + URL_SECONDS, bytearray()
    try:
        address = quote(url, safe=_URL_CHARACTERS)
        request = urllib.request.Request(address, body, {"User-Agent": f"mmseg_mllm/{__version__}"})
        for name, value in (headers or {}).items():
            request.add_unredirected_header(name, value)
        with urllib.request.urlopen(request, timeout=URL_TIMEOUT) as answer:
            while chunk := answer.read1(_CHUNK):
                content += chunk
                check_limit(f"{url}: the image has at least", len(content), MAX_IMAGE_BYTES, unit="bytes")
                if time.monotonic() > end:
                    raise TimeoutError(f"not done after {URL_SECONDS:.0f} seconds")
    except urllib.error.HTTPError as error:
        raise DataError(f"{url}: the server answers {error.code} {error.reason}") from None
    except (OSError, HTTPException, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise DataError(f"{url}: can't be fetched ({str(reason) or type(error).__name__})") from None
    return bytes(content)
