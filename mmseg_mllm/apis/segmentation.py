"""What a model sees, in the forms in which other tools take it."""

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import torch
from PIL import Image
from pycocotools import mask as coco_mask

from mmseg_mllm.errors import ConfigError
from mmseg_mllm.models.answers import THRESHOLD, Answers, resized_maps
from mmseg_mllm.outlines import mask_polygons

if TYPE_CHECKING:
    import supervision

    from mmseg_mllm.visualization.overlay import Layer

_DIGITS = 4
PICTURE_SIDE = 1600
"""Pixels of the longer side of an image that is kept to draw on; a larger one is reduced."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Segmentation:
    """What a model sees for one expression.

    It keeps the small map that the model gave; what has the image's own size is made when it is asked for, so
    that many results of a large image take little memory.

    Attributes:
        expression: As asked.
        score: log p([SEG]) - log p([REJ]), any float: above 0 the model holds that there is such a thing,
            below 0 that there is not. It says nothing of how good the mask is, and tells something only of a
            model that was trained with expressions without a target.
        exists: The model's verdict that there is such a thing; the mask may have pixels where there is not.
        map: (h, w) float32 in [0, 1], probabilities at the mask decoder's own size.
        size: (H, W) of the image.
        picture: The image, reduced where it is large, for :meth:`plot`.
    """

    expression: str
    score: float
    exists: bool
    map: np.ndarray = field(repr=False)
    size: tuple[int, int]
    picture: Image.Image = field(repr=False)

    @property
    def mask(self) -> np.ndarray:
        """(H, W) bool, made anew at each call."""
        # Column by column to row by row, ten times as fast as NumPy.
        return cv2.transpose(coco_mask.decode(self._rle).T).view(bool)

    @property
    def probability(self) -> np.ndarray:
        """(H, W) float32 in [0, 1], made anew at each call; the mask is where it is at least 0.5."""
        return self._resized(self.size)

    @cached_property
    def box(self) -> tuple[float, float, float, float]:
        """x1, y1, x2, y2 in pixels around the mask, maxima inclusive; zeros for an empty one."""
        x, y, width, height = coco_mask.toBbox(self._rle).tolist()
        return (x, y, x + width - 1, y + height - 1) if self.area else (0.0, 0.0, 0.0, 0.0)

    @cached_property
    def area(self) -> int:
        """Pixels of the mask."""
        return int(coco_mask.area(self._rle))

    def rle(self) -> dict[str, Any]:
        """The mask as COCO's compressed RLE, ``size`` [H, W] and ``counts`` as text."""
        return dict(size=list(self.size), counts=self._rle["counts"].decode())

    def to_dict(self) -> dict[str, Any]:
        """What can be written as JSON: expression, verdict, score of four digits, box, area and RLE."""
        return dict(
            expression=self.expression,
            exists=self.exists,
            score=round(self.score, _DIGITS),
            box=list(self.box),
            area=self.area,
            rle=self.rle(),
        )

    def polygons(self, *, tolerance: float = 1.0) -> list[list[float]]:
        """The mask's outlines, see :func:`mmseg_mllm.outlines.mask_polygons`."""
        return mask_polygons(self.mask, tolerance=tolerance)

    def to_coco(self, *, id: int = 1, image_id: int = 1, category_id: int = 1) -> dict[str, Any]:
        """An annotation of a COCO file, its mask as RLE; with ``score`` and ``expression`` beside it."""
        return dict(
            id=id,
            image_id=image_id,
            category_id=category_id,
            segmentation=self.rle(),
            area=self.area,
            bbox=coco_mask.toBbox(self._rle).tolist(),
            iscrowd=0,
            score=self.score,
            expression=self.expression,
        )

    def save(self, path: str | Path) -> None:
        """Write the mask as a grey PNG of the image's size, 255 inside and 0 outside.

        Raises:
            ConfigError: the path does not end in .png, or can't be written.
        """
        if Path(path).suffix.lower() != ".png":
            raise ConfigError(f"{path}: a mask is saved as PNG, which keeps each pixel; name it *.png")
        try:
            # Twice as fast as Pillow, which tries all filters.
            Path(path).write_bytes(cv2.imencode(".png", self.mask.view(np.uint8) * 255)[1])
        except OSError as error:
            raise ConfigError(f"{path}: can't be written ({error.strerror or error})") from None

    def plot(self) -> Image.Image:
        """The image with the mask over it and a legend below, its longer side 480 to 1600 pixels.

        No mask is drawn of what is not there.
        """
        return Segmentations([self], size=self.size, picture=self.picture).plot()

    @property
    def found(self) -> bool:
        """Whether there is such a thing and a mask of it."""
        return self.exists and self.area > 0

    @property
    def confidence(self) -> float:
        """``score`` as a probability in [0, 1], p([SEG]) against p([REJ])."""
        odds = math.exp(-abs(self.score))
        return (1 if self.score > 0 else odds) / (1 + odds)

    @cached_property
    def _rle(self) -> dict[str, Any]:
        inside = self._resized(self.size) >= THRESHOLD
        return coco_mask.encode(cv2.transpose(inside.view(np.uint8)).T)

    def _resized(self, size: tuple[int, int]) -> np.ndarray:
        return resized_maps(torch.from_numpy(self.map)[None], size)[0].numpy()

    def _layer(self, size: tuple[int, int], *, index: int) -> "Layer":
        from mmseg_mllm.visualization.overlay import Layer, color_of

        mask = self._resized(size) >= THRESHOLD
        note = "not there" if not self.exists else "" if mask.any() else "no pixels"
        return Layer(text=self.expression, note=note, color=color_of(index), mask=mask & self.exists)


class Segmentations(list[Segmentation]):
    """Results of one image, in the order of its expressions.

    Args:
        results: One for each expression.
        size, picture: See :class:`Segmentation`.
    """

    def __init__(
        self, results: Iterable[Segmentation], *, size: tuple[int, int], picture: Image.Image
    ) -> None:
        super().__init__(results)
        self.size = size
        self.picture = picture

    @classmethod
    def of(
        cls, answers: Answers, *, expressions: Sequence[str], size: tuple[int, int], picture: Image.Image
    ) -> "Segmentations":
        """From what a model answered; ``size`` is (H, W) of the image."""
        maps = answers.maps.cpu().numpy()
        found = zip(expressions, answers.scores.tolist(), answers.rejected.tolist(), maps, strict=True)
        return cls(
            (
                Segmentation(
                    expression=expression,
                    score=score,
                    exists=not rejected,
                    map=probabilities,
                    size=size,
                    picture=picture,
                )
                for expression, score, rejected, probabilities in found
            ),
            size=size,
            picture=picture,
        )

    def plot(self, *, shown: Collection[int] | None = None, legend: bool = True) -> Image.Image:
        """:meth:`Segmentation.plot` for all of them, in a colour each.

        Args:
            shown: Numbers of those to draw, from 0; the others' colours stay theirs.
            legend: Whether there is one below the image.
        """
        # Imported where something is drawn: it takes half a second.
        from mmseg_mllm.visualization.overlay import draw_overlay

        return draw_overlay(self.picture, self.layers(shown=shown), legend=legend)

    def layers(self, *, shown: Collection[int] | None = None) -> list["Layer"]:
        """What :meth:`plot` draws, with the masks at the size of the drawing."""
        from mmseg_mllm.visualization.overlay import overlay_size

        width, height = overlay_size(*self.picture.size)
        return [
            result._layer((height, width), index=index)
            for index, result in enumerate(self)
            if shown is None or index in shown
        ]

    def to_supervision(self) -> "supervision.Detections":
        """What was found, for the package supervision.

        Results without a mask, or of what is not there, are left out. ``class_id`` counts the expressions as
        asked, ``data["class_name"]`` has their texts.

        Raises:
            ConfigError: the package is not installed.
        """
        try:
            from supervision import Detections
        except ImportError:
            raise ConfigError(
                "to_supervision needs a package that is not installed: pip install 'mmseg_mllm[supervision]'"
            ) from None
        found = [(k, result) for k, result in enumerate(self) if result.found]
        if not found:
            return Detections.empty()
        return Detections(
            xyxy=np.array([result.box for _, result in found], np.float32),
            mask=np.stack([result.mask for _, result in found]),
            confidence=np.array([result.confidence for _, result in found], np.float32),
            class_id=np.array([k for k, _ in found]),
            data=dict(class_name=np.array([result.expression for _, result in found])),
        )
