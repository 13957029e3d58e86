"""Which images are meant: files, folders, patterns, lists and URLs to one list."""

import os
from collections.abc import Iterable, Iterator
from glob import glob, has_magic
from pathlib import Path

from mmseg_mllm.batch.text_lines import read_lines
from mmseg_mllm.errors import DataError

SUFFIXES = frozenset(
    f".{kind}"
    for kind in (
        *("jpg", "jpeg", "jpe", "jfif", "png", "webp", "bmp", "gif", "tif", "tiff"),
        *("ppm", "pgm", "pbm", "pnm", "jp2", "avif", "heic", "heif"),
    )
)
"""What counts as an image in a folder, whatever the case."""
LIST_SUFFIX = ".txt"
URL_STARTS = ("http://", "https://")


def find_images(names: Iterable[str], *, leave_out: Path | None = None) -> list[str]:
    """All images, each once, as absolute paths or URLs.

    Args:
        names: Each an image file, a folder (with all below it), a pattern (``**`` for folders), an http(s)
            URL, or a text file with one image in a line, its path relative to the file's folder.
        leave_out: A folder whose images are not meant: where results go.

    Raises:
        DataError: a name is nothing of these, has no image in it, or a list can't be read. The lines of a
            list are not looked at: an image that is missing is found where it is read.
    """
    outside = None if leave_out is None else os.path.join(os.path.abspath(leave_out), "")
    found = dict.fromkeys(image for name in names for image in _images_of(name))
    return [image for image in found if outside is None or not image.startswith(outside)]


def _images_of(name: str) -> Iterable[str]:
    if name.lower().startswith(URL_STARTS):
        return [name]
    path = Path(name).expanduser()
    try:
        if path.is_dir():
            return _of_folder(path)
        if path.is_file():
            return _of_list(path) if path.suffix.lower() == LIST_SUFFIX else [os.path.abspath(path)]
        matches = sorted(glob(str(path), recursive=True)) if has_magic(name) else []
    except (OSError, ValueError) as error:  # a name too long, a zero byte
        raise DataError(f"{name:.200}: can't be looked for ({error})") from None
    if not matches:
        raise DataError(f"{name:.200}: no such image, folder, list ({LIST_SUFFIX}) or pattern")
    return _of_matches(name, matches)


def _of_folder(folder: Path) -> list[str]:
    images = list(_below(folder))
    if not images:
        raise DataError(f"{folder}: no image in this folder or below (known: {' '.join(sorted(SUFFIXES))})")
    return images


def _below(folder: Path) -> Iterator[str]:
    """Images in a folder and its folders, sorted by name; links to folders are not followed."""
    for place, folders, files in os.walk(os.path.abspath(folder)):
        folders.sort()
        yield from (os.path.join(place, name) for name in sorted(files) if _is_image(name))


def _of_matches(name: str, matches: list[str]) -> list[str]:
    images = []
    for match in matches:
        if os.path.isdir(match):
            images += _below(Path(match))
        elif _is_image(match):
            images.append(os.path.abspath(match))
    if not images:
        raise DataError(f"{name}: matches {len(matches)} names, none of which is an image")
    return images


def _of_list(path: Path) -> list[str]:
    folder = os.path.abspath(path.parent)
    lines = [line for _, line in read_lines(path)]
    if not lines:
        raise DataError(f"{path}: the list is empty; write one image in a line")
    return [
        line if line.lower().startswith(URL_STARTS) else os.path.normpath(os.path.join(folder, line))
        for line in lines
    ]


def _is_image(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in SUFFIXES
