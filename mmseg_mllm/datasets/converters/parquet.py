"""RefCOCO's copies on the hub and RefCOCO-M, parquet files, to a referring JSON with its images."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mmseg_mllm.conversion.new_folder import new_folder
from mmseg_mllm.datasets.converters.draft import Draft
from mmseg_mllm.datasets.converters.image_folder import ImageFolder
from mmseg_mllm.datasets.converters.refcoco_rows import add_lmms_row, add_refcoco_m_row, box_notes
from mmseg_mllm.datasets.converters.rows import column_names, rows
from mmseg_mllm.datasets.converters.shards import Shard, find_shards
from mmseg_mllm.datasets.refer import ReferFiles
from mmseg_mllm.errors import DataError

ANNOTATIONS, IMAGES = "annotations.json", "images"


@dataclass(frozen=True, kw_only=True)
class Layout:
    """A way of writing a dataset as rows: its columns, and what makes records of a row."""

    columns: tuple[str, ...]
    add: Callable[..., None]


LAYOUTS = {
    "RefCOCO as of lmms-lab": Layout(
        columns=("question_id", "image", "answer", "segmentation", "bbox", "file_name"), add=add_lmms_row
    ),
    "RefCOCO-M": Layout(columns=("image", "image_id", "file_name", "samples"), add=add_refcoco_m_row),
}


def parquet_to_json(*, source: str | Path, out: str | Path) -> tuple[ReferFiles, list[str]]:
    """Write a folder with ``annotations.json``, for :class:`ReferringJSONDataset`, and ``images``.

    Memory is that of the annotations and of a row group, whatever the files hold. Each image is written once,
    with the bytes that the rows hold. Masks are for images as stored.

    Args:
        source: A parquet file, or a folder with all files of a dataset (see :func:`find_shards` on splits).
        out: Folder to make.

    Returns:
        What was written, and lines to know of.

    Raises:
        DataError: a file is missing or broken, has other columns, or a row is wrong; file and row are named.
        ConfigError: pyarrow is missing, ``out`` holds something already, or its disk is too full.
    """
    shards = find_shards(source)
    layouts = [_layout(shard.path) for shard in shards]
    out = Path(out)
    with new_folder(out, needed_bytes=sum(shard.path.stat().st_size for shard in shards)) as scratch:
        images = ImageFolder(folder=scratch / IMAGES)
        draft = Draft(upright=False, images=images.records)
        for shard, layout in zip(shards, layouts, strict=True):
            _add_rows(shard, layout, draft, images)
        files = draft.write(scratch / ANNOTATIONS, name=out / ANNOTATIONS)
        notes = box_notes(draft)
    return files, notes


def _layout(path: Path) -> Layout:
    names = column_names(path)
    for layout in LAYOUTS.values():
        if set(layout.columns) <= set(names):
            return layout
    known = "; ".join(f"{name}: {', '.join(layout.columns)}" for name, layout in LAYOUTS.items())
    raise DataError(f"{path}: has the columns {', '.join(names)}, of no known layout. Known are {known}")


def _add_rows(shard: Shard, layout: Layout, draft: Draft, images: ImageFolder) -> None:
    for number, row in enumerate(rows(shard.path, columns=layout.columns)):
        try:
            layout.add(row, split=shard.split, draft=draft, images=images)
        except DataError as error:
            raise DataError(f"{shard.path}: row {number} (from 0): {error}") from None
