"""Several masks over one image, in a colour each, with a legend."""

import colorsys
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image, ImageDraw

from mmseg_mllm.visualization.fonts import CaptionFont, shorten
from mmseg_mllm.visualization.panels import GREY, INK, SURROUNDINGS

# Okabe and Ito's, which are told apart with every common colour blindness; the strongest first.
COLORS = (
    (240, 110, 0),
    (86, 180, 233),
    (0, 158, 115),
    (204, 121, 167),
    (240, 228, 66),
    (0, 114, 178),
    (230, 159, 0),
)
GOLDEN_RATIO = (5**0.5 - 1) / 2
"""Turned by it, each further hue is far from those before."""
SHADES = ((1.0, 0.5), (0.4, 1.0), (0.6, 0.75), (1.0, 1.0))
"""Saturation and value of what follows after ``COLORS``, in turn."""
MIN_SIDE = 480
"""Pixels of an overlay's longer side: smaller images are enlarged to it."""


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One entry of the legend.

    Attributes:
        text: What was asked.
        note: At the right of it; '' for nothing.
        color: RGB, see :func:`color_of`.
        mask: (H, W) bool at the size of :func:`overlay_size`; may be empty.
    """

    text: str
    note: str
    color: tuple[int, int, int]
    mask: np.ndarray


def overlay_size(width: int, height: int) -> tuple[int, int]:
    """(width, height) at which an image is drawn."""
    scale = max(1.0, MIN_SIDE / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def draw_overlay(picture: Image.Image, layers: Sequence[Layer], *, legend: bool = True) -> Image.Image:
    """Dim all but the masks, outline them, and write what they are below the image.

    What is in a mask keeps its own colours: sentences name them.

    Args:
        picture: RGB of any size; is drawn at :func:`overlay_size`.
        layers: From the first, which lies lowest, to the last.
        legend: Whether there is text below the image.
    """
    size = overlay_size(*picture.size)
    drawn = np.array(picture if picture.size == size else picture.resize(size, Image.Resampling.BICUBIC))
    line = max(3, round(max(size) / 300))
    _dim_around(drawn, [layer.mask for layer in layers])
    for layer in layers:
        # The white rim keeps the outline visible on a background of its own colour.
        _outline(drawn, layer.mask, (255, 255, 255), width=line + 1)
        _outline(drawn, layer.mask, layer.color, width=line)
    image = Image.fromarray(drawn)
    return _with_legend(image, layers) if legend and layers else image


def _dim_around(drawn: np.ndarray, masks: Sequence[np.ndarray]) -> None:
    """Dim the pixels of (H, W, 3) that are in no mask; nothing where no mask has any."""
    if any(mask.any() for mask in masks):
        outside = ~np.logical_or.reduce(masks)
        dimmed = cv2.convertScaleAbs(drawn, alpha=SURROUNDINGS)
        cv2.copyTo(dimmed, outside.astype(np.uint8), drawn)


def _outline(drawn: np.ndarray, mask: np.ndarray, color: tuple[int, int, int], *, width: int) -> None:
    """Draw a line around a mask, outside of it."""
    place = _around(mask, margin=width)
    inside = mask[place].astype(np.uint8)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * width + 1, 2 * width + 1))
    drawn[place][(cv2.dilate(inside, disc) - inside).view(bool)] = color


def _around(mask: np.ndarray, *, margin: int) -> tuple[slice, slice]:
    """Rows and columns of the box around a mask; all for an empty one."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return slice(None), slice(None)
    return tuple(slice(max(0, i[0] - margin), i[-1] + 1 + margin) for i in (rows, columns))


def color_of(index: int) -> tuple[int, int, int]:
    """RGB of the layer of that number; the first 32 are told apart by eye."""
    if index < len(COLORS):
        return COLORS[index]
    hue, (saturation, value) = index * GOLDEN_RATIO % 1, SHADES[index % len(SHADES)]
    red, green, blue = colorsys.hsv_to_rgb(hue, saturation, value)
    return round(255 * red), round(255 * green), round(255 * blue)


def _with_legend(image: Image.Image, layers: Sequence[Layer]) -> Image.Image:
    text = max(14, min(28, image.width // 36))
    row, gap = round(1.7 * text), round(0.6 * text)
    font, small = CaptionFont(text), CaptionFont(round(0.85 * text))
    width = max(image.width, 20 * text)
    page = Image.new("RGB", (width, image.height + len(layers) * row + 2 * gap), "white")
    page.paste(image, ((width - image.width) // 2, 0))
    draw = ImageDraw.Draw(page)
    for index, layer in enumerate(layers):
        middle, x = image.height + gap + index * row + row // 2, gap + round(0.8 * text)
        draw.rectangle((gap, middle - text // 2 + 1, x, middle + text // 2 - 1), fill=layer.color)
        room = width - x - 3 * gap - small.getlength(layer.note)
        caption = shorten(" ".join(layer.text.split()), font=font, width=room)
        font.draw(page, (x + gap, middle), caption, fill=INK, anchor="lm")
        small.draw(page, (width - gap, middle), layer.note, fill=GREY, anchor="rm")
    return page
