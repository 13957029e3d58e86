"""ReasonSeg, as LISA publishes it, to a referring JSON (docs/custom_data.md)."""

from collections import Counter
from collections.abc import Iterator
from numbers import Real
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from pycocotools import mask as coco_mask

from mmseg_mllm.datasets.converters.draft import Draft, checked_expressions
from mmseg_mllm.datasets.images import image_size
from mmseg_mllm.datasets.json_file import read_json
from mmseg_mllm.datasets.limits import MAX_PIXELS, check_limit
from mmseg_mllm.datasets.new_file import new_file
from mmseg_mllm.datasets.refer import ReferFiles
from mmseg_mllm.errors import DataError

SPLITS = ("train", "val", "test")
ENCODINGS = ("utf-8-sig", "cp1252")
"""Some files hold quotes of Windows's code page, by what LISA's reader does."""
TARGET, IGNORED = 1, 255
SHORT, LONG = "short query", "long query"


def reason_seg_to_json(*, root: str | Path, out: str | Path) -> tuple[ReferFiles, list[str]]:
    """Write ReasonSeg as one JSON file that :class:`ReferringJSONDataset` reads; images stay where they are.

    Masks have the pixels that LISA's reader gives them: shapes are drawn by OpenCV from the largest to the
    smallest, each over those before it, as target or as region that is not counted. Training images keep all
    their sentences, others the first, which is the one that LISA asks. The category of a target is whether it
    is asked by a phrase or by a sentence (``is_sentence``).

    Args:
        root: Holds folders ``train``, ``val`` and ``test``, or some of them, with a JSON file beside each
            JPEG.
        out: File to make; names of images in it are relative to ``root``.

    Returns:
        What was written, and lines to know of: sentences left out, targets without a pixel, unusual labels.

    Raises:
        DataError: there are no such folders, a file is missing, broken or can't be drawn, or ``out`` is there
            already or can't be written.
    """
    root = Path(root)
    splits = [split for split in SPLITS if (root / split).is_dir()]
    if not splits:
        raise DataError(f"{root}: has none of the folders {', '.join(SPLITS)}; see docs/datasets.md")
    draft = Draft(upright=True)  # OpenCV, with which LISA reads images, turns them
    draft.category_id(SHORT), draft.category_id(LONG)
    notes = Notes()
    with new_file(Path(out)) as scratch:
        for split in splits:
            for path in _pairs(root / split):
                try:
                    _add(draft, path, split=split, notes=notes)
                except DataError as error:
                    raise DataError(f"{path}: {error}") from None
        files = draft.write(scratch, name=out)
    return files, list(notes.lines())


class Notes:
    """What was met that someone should know of."""

    def __init__(self) -> None:
        self.unasked: Counter[str] = Counter()
        self.without_target: list[str] = []
        self.labels: Counter[str] = Counter()

    def lines(self) -> Iterator[str]:
        """One for each kind."""
        for split, count in self.unasked.items():
            yield f"left out: {count:,} further sentences of {split}, LISA asks the first of each image"
        if self.without_target:
            yield f"no pixel of a target in {', '.join(self.without_target)}: an empty mask is right there"
        for label, count in self.labels.items():
            yield f"label {label!r} ({count:,} shapes) is taken as target"


def _pairs(folder: Path) -> list[Path]:
    """The JSON files of a folder, each with its image, by name."""
    jsons, images = ({path.stem for path in folder.glob(f"*.{end}")} for end in ("json", "jpg"))
    for have, lack, end in ((images, jsons, "json"), (jsons, images, "jpg")):
        missing = sorted(have - lack)
        if missing:
            raise DataError(
                f"{folder / missing[0]}.{end}: missing ({len(missing):,} such in {folder}); each image needs "
                "its JSON file beside it. Unpack the set again"
            )
    return [folder / f"{stem}.json" for stem in sorted(jsons)]


def _add(draft: Draft, path: Path, *, split: str, notes: Notes) -> None:
    shapes, texts, is_sentence = _fields(read_json(path, encodings=ENCODINGS))
    height, width = image_size(path.with_suffix(".jpg"), upright=True)
    check_limit("its image has", height * width, MAX_PIXELS, unit="pixels")
    image = dict(
        id=len(draft.images) + 1,
        file_name=f"{split}/{path.stem}.jpg",
        width=width,
        height=height,
        split=split,
    )
    draft.images[image["id"]] = image
    region = draw_shapes(shapes, height=height, width=width)
    ids: dict[int, list[int]] = {TARGET: [], IGNORED: []}
    for value, fields in (
        (TARGET, dict(category_id=draft.category_id(LONG if is_sentence else SHORT))),
        (IGNORED, {}),
    ):
        if (region == value).any():
            rle = coco_mask.encode(np.asfortranarray(region == value))
            rle["counts"] = rle["counts"].decode()
            ids[value].append(draft.add_annotation(image, rle, **fields))
    asked = texts if split == "train" else texts[:1]
    draft.add_group(image, ann_ids=ids[TARGET], ignore_ids=ids[IGNORED], expressions=asked)
    notes.unasked += Counter({split: len(texts) - len(asked)})
    notes.labels += Counter(
        s["label"] for s in shapes if _value(s["label"]) == TARGET and s["label"] != "target"
    )
    if not ids[TARGET]:
        notes.without_target.append(image["file_name"])


def draw_shapes(shapes: list[dict], *, height: int, width: int) -> np.ndarray:
    """The regions of an image's shapes, the smallest on top.

    Args:
        shapes: With ``label`` (contains 'ignore': a region that is not counted; 'flag': no region; all else:
            the target) and ``points``, x and y in pixels.
        height, width: Of the image.

    Returns:
        (height, width) uint8 of 0, ``TARGET`` and ``IGNORED``.

    Raises:
        DataError: a shape is no polygon in the image.
    """
    drawn = []
    for number, shape in enumerate(shapes):
        value = _value(shape["label"])
        if value is not None:
            points = _points(shape["points"], number, side=max(height, width))
            alone = np.zeros((height, width), np.uint8)
            _draw(alone, points, 1)
            drawn.append((np.count_nonzero(alone), number, points, value))
    region = np.zeros((height, width), np.uint8)
    for _, _, points, value in sorted(drawn, key=lambda item: item[:2], reverse=True):
        _draw(region, points, value)
    return region


def _draw(region: np.ndarray, points: np.ndarray, value: int) -> None:
    cv2.polylines(region, [points], isClosed=True, color=value)
    cv2.fillPoly(region, [points], color=value)


def _value(label: str) -> int | None:
    if label.lower() == "flag":
        return None
    return IGNORED if "ignore" in label.lower() else TARGET


def _points(points: Any, number: int, *, side: int) -> np.ndarray:
    """(N, 1, 2) int32: LISA cuts off what is behind the point."""
    if not isinstance(points, list) or not points or not all(map(_is_point, points)):
        raise DataError(f"`points` of shape number {number} (from 0) is no list of x, y pairs")
    array = np.array(points, dtype=np.float64)
    if not (np.abs(array) <= 2 * side).all():
        raise DataError(f"shape number {number} (from 0) has points far outside of an image of {side} pixels")
    return array.astype(np.int32)[:, None]


def _is_point(point: Any) -> bool:
    return isinstance(point, list) and len(point) == 2 and all(isinstance(n, Real) for n in point)


def _fields(content: Any) -> tuple[list[dict], list[str], bool]:
    """Shapes, sentences and whether these are sentences."""
    content = content if isinstance(content, dict) else {}
    shapes, texts, is_sentence = (content.get(name) for name in ("shapes", "text", "is_sentence"))
    if not isinstance(shapes, list) or not all(
        isinstance(s, dict) and isinstance(s.get("label"), str) and "points" in s for s in shapes
    ):
        raise DataError("`shapes` must be a list of records with `label` and `points`")
    if not isinstance(is_sentence, bool | int):
        raise DataError(f"`is_sentence` must be true or false, not {is_sentence!r:.60}")
    return shapes, checked_expressions(texts, "text"), bool(is_sentence)
