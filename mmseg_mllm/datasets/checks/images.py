"""Checks of image files."""

from dataclasses import dataclass, field
from pathlib import Path

from mmseg_mllm.datasets.checks.find import find_images
from mmseg_mllm.datasets.checks.folder import Folder, Track
from mmseg_mllm.datasets.checks.problems import Kind
from mmseg_mllm.datasets.images import image_size, is_turned, read_rgb
from mmseg_mllm.errors import DataError


@dataclass(kw_only=True)
class ImageCheck:
    """Checks the images of several datasets, each file once.

    Args:
        place: Folder of the images, or of their folders.
        decode: Decode all of each file, which finds those that are cut off; else its head is read.
    """

    place: Path
    decode: bool
    found: dict[tuple, tuple[Kind, str] | None] = field(default_factory=dict)

    def __call__(self, folder: Folder, track: Track) -> None:
        """Check the images in use, and add what is found to the refs files that use them."""
        used = dict.fromkeys(ref["image_id"] for file in folder.files for ref in file.refs)
        images = [folder.images[i] for i in used if i in (folder.images or {})]
        if not images:
            return
        where = find_images(self.place, [image["file_name"] for image in images])
        if where is None:
            text = f"none of {len(images):,} at or below {self.place}, such as {images[0]['file_name']}"
            for file in folder.files:
                file.problems.add(Kind.NO_IMAGES, "", text)
            return
        problems = {
            i["id"]: self._problem(where, i, upright=folder.upright)
            for i in track(images, f"{folder.path.name}: images")
        }
        for file in folder.files:
            for split, i in dict.fromkeys((ref["split"], ref["image_id"]) for ref in file.refs):
                if problems.get(i):
                    kind, text = problems[i]
                    file.problems.add(kind, split, text)

    def _problem(self, where: Path, image: dict, *, upright: bool) -> tuple[Kind, str] | None:
        key = where / image["file_name"], (image["height"], image["width"]), upright
        if key not in self.found:
            self.found[key] = self._check(*key)
        return self.found[key]

    def _check(self, path: Path, stated: tuple[int, int], upright: bool) -> tuple[Kind, str] | None:
        if not path.is_file():
            return Kind.IMAGE_MISSING, str(path)
        try:
            height, width = (
                read_rgb(path, upright=upright).shape[:2]
                if self.decode
                else image_size(path, upright=upright)
            )
        except DataError as error:
            return Kind.IMAGE_BROKEN, str(error)
        turned = is_turned(path) and not upright
        if (height, width) != stated:
            note = " before its EXIF turn" if turned else ""
            text = f"{path}: {width}x{height} pixels{note}, its record says {stated[1]}x{stated[0]}"
            return Kind.IMAGE_SIZE, text
        return (Kind.TURNED, str(path)) if turned else None
