"""Several masks over one image, in a colour each, with a legend."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image, ImageDraw

from mmseg_mllm.visualization.fonts import CaptionFont, shorten
from mmseg_mllm.visualization.panels import GREY, INK

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
MIN_SIDE = 480
"""Pixels of an overlay's longer side: smaller images are enlarged to it."""
_FILL = 0.45
"""Part of a mask's colour that lies over the image."""


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One entry of the legend.

    Attributes:
        text: What was asked.
        note: At the right of it; '' for nothing.
        mask: (H, W) bool at the size of :func:`overlay_size`; may be empty.
    """

    text: str
    note: str
    mask: np.ndarray


def overlay_size(width: int, height: int) -> tuple[int, int]:
    """(width, height) at which an image is drawn."""
    scale = max(1.0, MIN_SIDE / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def draw_overlay(picture: Image.Image, layers: Sequence[Layer]) -> Image.Image:
    """Colour the masks and write what they are below the image.

    Args:
        picture: RGB of any size; is drawn at :func:`overlay_size`.
        layers: From the first, which lies lowest, to the last.
    """
    size = overlay_size(*picture.size)
    drawn = np.array(picture if picture.size == size else picture.resize(size, Image.Resampling.BICUBIC))
    insides = [layer.mask.astype(np.uint8) for layer in layers]
    for index, inside in enumerate(insides):
        tinted = cv2.addWeighted(drawn, 1 - _FILL, np.full_like(drawn, color_of(index)), _FILL, 0)
        cv2.copyTo(tinted, inside, drawn)
    line = max(2, round(max(size) / 300))
    for index, inside in enumerate(insides):
        outlines, _ = cv2.findContours(inside, cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
        # The white rim keeps the outline visible on a background of its own colour.
        cv2.drawContours(drawn, outlines, -1, (255, 255, 255), line + 2, cv2.LINE_AA)
        cv2.drawContours(drawn, outlines, -1, color_of(index), line, cv2.LINE_AA)
    return _with_legend(Image.fromarray(drawn), layers)


def color_of(index: int) -> tuple[int, int, int]:
    """RGB of the layer of that number."""
    return COLORS[index % len(COLORS)]


def _with_legend(image: Image.Image, layers: Sequence[Layer]) -> Image.Image:
    if not layers:
        return image
    text = max(14, min(28, image.width // 36))
    row, gap = round(1.7 * text), round(0.6 * text)
    font, small = CaptionFont(text), CaptionFont(round(0.85 * text))
    width = max(image.width, 20 * text)
    page = Image.new("RGB", (width, image.height + len(layers) * row + 2 * gap), "white")
    page.paste(image, ((width - image.width) // 2, 0))
    draw = ImageDraw.Draw(page)
    for index, layer in enumerate(layers):
        middle, x = image.height + gap + index * row + row // 2, gap + round(0.8 * text)
        draw.rectangle((gap, middle - text // 2 + 1, x, middle + text // 2 - 1), fill=color_of(index))
        room = width - x - 3 * gap - small.getlength(layer.note)
        caption = shorten(" ".join(layer.text.split()), font=font, width=room)
        font.draw(page, (x + gap, middle), caption, fill=INK, anchor="lm")
        small.draw(page, (width - gap, middle), layer.note, fill=GREY, anchor="rm")
    return page
