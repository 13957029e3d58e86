"""Writing images that come with rows, each once."""

import hashlib
import re
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from mmseg_mllm.datasets.images import decode_rgb
from mmseg_mllm.errors import DataError

# REFER writes a number of its own behind the image's id.
_COCO_NAME = re.compile(r"(?P<stem>COCO_\w+?_(?P<id>\d{12}))(_\d+)?\.\w+")
FORMATS = {"JPEG": "jpg", "PNG": "png", "WEBP": "webp"}
"""And the endings of their files. Pillow finds MPO, several JPEGs in one file, among JPEG."""


def coco_image(file_name: Any) -> tuple[int, str]:
    """Id and name without ending of a COCO image.

    Raises:
        DataError: it is none's.
    """
    found = _COCO_NAME.fullmatch(file_name) if isinstance(file_name, str) else None
    if not found:
        raise DataError(
            f"`file_name` is {file_name!r:.60}, not of a COCO image (COCO_train2014_000000000009.jpg)"
        )
    return int(found["id"]), found["stem"]


@dataclass(kw_only=True)
class ImageFolder:
    """Writes images below a folder as they come, without encoding them anew.

    Attributes:
        folder: Where they go.
        records: Image id -> ``id``, ``file_name``, ``width``, ``height`` of those that are there.
    """

    folder: Path
    records: dict[int, dict] = field(default_factory=dict)
    _hashes: dict[int, bytes] = field(default_factory=dict)

    def add(self, value: Any, *, image_id: int, stem: str) -> dict:
        """Write an image unless it is there, and give its record.

        Args:
            value: As the hub stores images: a record with ``bytes``.
            image_id: Tells images apart.
            stem: Name without ending.

        Raises:
            DataError: it can't be decoded, or another image was given by this id.
        """
        content = value.get("bytes") if isinstance(value, dict) else None
        if not isinstance(content, bytes) or not content:
            raise DataError("`image` holds no bytes of an image file")
        digest = hashlib.sha256(content).digest()
        if image_id not in self.records:
            self.records[image_id] = self._write(content, image_id=image_id, stem=stem)
            self._hashes[image_id] = digest
        elif digest != self._hashes[image_id]:
            self._compare(content, self.records[image_id])
        return self.records[image_id]

    def _write(self, content: bytes, *, image_id: int, stem: str) -> dict:
        height, width = decode_rgb(content, name=stem).shape[:2]
        try:
            with Image.open(BytesIO(content), formats=list(FORMATS)) as image:
                name = f"{stem}.{'jpg' if image.format == 'MPO' else FORMATS[image.format]}"
        except UnidentifiedImageError:
            raise DataError(f"{stem}: the image is none of {', '.join(FORMATS)}") from None
        self.folder.mkdir(exist_ok=True)
        (self.folder / name).write_bytes(content)
        return dict(id=image_id, file_name=name, width=width, height=height)

    def _compare(self, content: bytes, record: dict) -> None:
        """Take the same pixels in another file."""
        name = record["file_name"]
        first, second = (
            decode_rgb((self.folder / name).read_bytes(), name=name),
            decode_rgb(content, name=name),
        )
        if not np.array_equal(first, second):
            raise DataError(f"{name}: the image differs from the one that an earlier row has by this name")
