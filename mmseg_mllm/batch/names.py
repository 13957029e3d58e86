"""Names of the files that belong to an image."""

import hashlib
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import PurePath
from urllib.parse import urlsplit

_UNSAFE = re.compile(r"[^\w.-]+")
MAX_LENGTH = 80


class FileNames:
    """A name for each image, that of its own file where no other image has the same.

    Args:
        images: All of a folder of results: absolute paths and URLs.
    """

    def __init__(self, images: Iterable[str]) -> None:
        self._counts = Counter(_stem(image).casefold() for image in images)

    def __getitem__(self, image: str) -> str:
        stem = _stem(image)
        if self._counts[stem.casefold()] == 1:
            return stem
        return f"{stem}-{hashlib.sha256(image.encode(errors='surrogatepass')).hexdigest()[:8]}"


def _stem(image: str) -> str:
    path = urlsplit(image).path if "://" in image else image
    return _UNSAFE.sub("_", PurePath(path).stem)[:MAX_LENGTH].strip(".") or "image"
