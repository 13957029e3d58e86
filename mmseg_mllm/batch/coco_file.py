"""All results as one COCO file."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TextIO

from mmseg_mllm.batch.records import read_records, to_json
from mmseg_mllm.errors import ConfigError

FILE = "coco.json"


def write_coco(records: Path, expressions: Iterable[str]) -> Path:
    """Write ``coco.json`` beside a file of results, one record at a time.

    Each expression is a category. What is not there by the model's verdict, or has no pixel, is left out.

    Args:
        records: The file of results.
        expressions: As asked.

    Raises:
        ConfigError: the file can't be written.
        DataError: the results can't be read.
    """
    path = records.with_name(FILE)
    categories = {text: k for k, text in enumerate(dict.fromkeys(expressions), start=1)}
    names = [record["image"] for _, record in read_records(records)]
    root = _common_folder(names)
    part = path.with_suffix(".part")
    try:
        with part.open("w", encoding="utf-8") as file:
            info = dict(description="mmseg-mllm segment", image_folder=root)
            file.write(f'{{"info":{to_json(info)},"categories":')
            _dump_list((dict(id=k, name=text) for text, k in categories.items()), file)
            file.write(',"images":')
            _dump_list(_images(records, root), file)
            file.write(',"annotations":')
            _dump_list(_annotations(records, categories), file)
            file.write("}\n")
        part.replace(path)
    except OSError as error:
        raise ConfigError(f"{path}: can't be written ({error.strerror or error})") from None
    return path


def _common_folder(names: list[str]) -> str:
    """The deepest folder above all images; '' where there is none, as with URLs."""
    try:
        return os.path.commonpath([os.path.dirname(name) for name in names if "://" not in name])
    except ValueError:  # nothing in common, or no files
        return ""


def _images(records: Path, root: str) -> Iterator[dict[str, Any]]:
    for k, (_, record) in enumerate(read_records(records), start=1):
        name = record["image"]
        file_name = name if "://" in name or not root else Path(name).relative_to(root).as_posix()
        yield dict(id=k, file_name=file_name, width=record["width"], height=record["height"])


def _annotations(records: Path, categories: dict[str, int]) -> Iterator[dict[str, Any]]:
    number = 0
    for k, (_, record) in enumerate(read_records(records), start=1):
        for result in record["results"]:
            if not result["exists"] or not result["area"]:
                continue
            number += 1
            x1, y1, x2, y2 = result["box"]
            yield dict(
                id=number,
                image_id=k,
                category_id=categories[result["expression"]],
                segmentation=result["rle"],
                area=result["area"],
                bbox=[x1, y1, x2 - x1 + 1, y2 - y1 + 1],
                iscrowd=0,
                score=result["score"],
                expression=result["expression"],
            )


def _dump_list(items: Iterable[dict], file: TextIO) -> None:
    file.write("[")
    for k, item in enumerate(items):
        file.write(f"{',' if k else ''}{to_json(item)}")
    file.write("]")
