"""A referring JSON (docs/custom_data.md) in the making."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmseg_mllm.datasets.masks import mask_box, shape_fault
from mmseg_mllm.datasets.refer import ReferFiles
from mmseg_mllm.datasets.referring_json import parse_referring_json
from mmseg_mllm.errors import DataError
from mmseg_mllm.prompts import expression_problem


@dataclass(kw_only=True)
class Draft:
    """Records as they are found; annotations are counted from 1.

    Attributes:
        upright: Whether masks are for images turned as their EXIF says.
        categories: Name -> id.
    """

    upright: bool
    categories: dict[str, int] = field(default_factory=dict)
    images: dict[int, dict] = field(default_factory=dict)
    annotations: list[dict] = field(default_factory=list)
    groups: list[dict] = field(default_factory=list)

    def add_annotation(self, image: dict, segmentation: list | dict, **fields: Any) -> int:
        """Add a shape in an image of the draft, and give its id.

        Raises:
            DataError: the shape can't be drawn in the image, or covers no pixel.
        """
        fault = shape_fault(segmentation)
        if fault:
            raise DataError(f"its segmentation {fault}")
        where = f"image {image['file_name']}"
        if not mask_box(segmentation, height=image["height"], width=image["width"], where=where):
            raise DataError(f"{where}: its segmentation covers no pixel")
        annotation_id = len(self.annotations) + 1
        self.annotations.append(
            dict(id=annotation_id, image_id=image["id"], segmentation=segmentation, **fields)
        )
        return annotation_id

    def add_group(self, image: dict, **fields: Any) -> None:
        """Add expressions about an image of the draft."""
        self.groups.append(dict(image_id=image["id"], **fields))

    def category_id(self, name: str) -> int:
        """The id of a category, a new one for a new name."""
        return self.categories.setdefault(name, len(self.categories) + 1)

    def write(self, path: Path, *, name: str | Path) -> ReferFiles:
        """Check the whole and write it.

        Args:
            path: File to make.
            name: What it is called in messages.

        Returns:
            What was written.

        Raises:
            DataError: see :func:`parse_referring_json`.
        """
        content = dict(
            info=dict(upright=self.upright),
            images=list(self.images.values()),
            annotations=self.annotations,
            groups=self.groups,
            categories=[dict(id=i, name=name) for name, i in self.categories.items()],
        )
        files = parse_referring_json(content, path=name)
        path.write_text(json.dumps(content), encoding="utf-8")
        return files


def checked_expressions(value: Any, name: str) -> list[str]:
    """What a field of that name holds, if it is at least one expression that can be asked.

    Raises:
        DataError: it isn't.
    """
    if not isinstance(value, list) or not value:
        raise DataError(f"`{name}` is no list of at least one expression")
    for text in value:
        problem = expression_problem(text)
        if problem:
            raise DataError(f"`{name}` has an expression that {problem}: {text!r:.60}")
    return value
