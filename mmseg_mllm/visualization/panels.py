"""Panels that show one mask each, and pages of them."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image, ImageDraw

from mmseg_mllm.visualization.fonts import CaptionFont, caption_lines

# Okabe-Ito blue, a lighter vermilion and reddish purple: told apart with every common colour blindness.
GT_COLOR = (0, 114, 178)
PRED_COLOR = (240, 110, 0)
OTHER_COLOR = (204, 121, 167)
SURROUNDINGS = 0.4
"""Brightness that is left to pixels outside of a mask."""
RIM = 1.5
"""Pixels of white around an outline."""
INK, GREY, LETTERBOX = (25, 25, 25), (105, 105, 105), (238, 238, 238)
NOT_COUNTED = (150, 150, 150)
MIN_PANEL_WIDTH = 160


def panel_size(*, width: int, height: int, panel_width: int) -> tuple[int, int]:
    """(width, height) of an image scaled to fit a square of ``panel_width``, at least one pixel each."""
    scale = panel_width / max(width, height)
    return max(1, round(width * scale)), max(1, round(height * scale))


def draw_panel(
    *, image: np.ndarray, mask: np.ndarray | None, color: tuple[int, int, int], size: tuple[int, int]
) -> np.ndarray:
    """Scale an image, and where there is a mask, dim all else and draw an outline around the mask.

    Args:
        image: uint8 RGB (H, W, 3).
        mask: bool (H, W); None draws the image alone.
        color: RGB of the outline.
        size: (width, height) of the panel.

    Returns:
        uint8 RGB (height, width, 3).
    """
    panel = np.array(Image.fromarray(image).resize(size, Image.Resampling.BICUBIC))
    if mask is None or not mask.any():
        return panel
    soft = np.array(Image.fromarray(mask.astype(np.uint8) * 255).resize(size, Image.Resampling.BOX))
    scale = max(size) / max(mask.shape)
    if scale > 1:
        # Rounds off the steps of the small mask; 0.45 of its pixels is the most that keeps a lone pixel.
        soft = cv2.GaussianBlur(soft, (0, 0), 0.45 * scale)
    inside = soft >= 128
    if not inside.any():  # thinner than a panel pixel
        inside = soft == soft.max()
    # The outline lies around the mask: the object's own pixels stay as they are, up to its edge.
    distance = cv2.distanceTransform((~inside).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    line = max(2, round(max(size) / 200))
    panel[~inside] = (panel[~inside] * SURROUNDINGS).round().astype(np.uint8)
    # The white rim keeps the outline visible on a background of its own colour.
    panel[~inside & (distance <= line + RIM)] = 255
    panel[~inside & (distance <= line)] = color
    return panel


def draw_note(page: Image.Image, *, center: tuple[int, int], text: str, font: CaptionFont) -> None:
    """White text on a dark rounded box, centred at ``center`` (x, y)."""
    pad = round(0.5 * font.size)
    half = (font.getlength(text) / 2 + 2 * pad, font.size / 2 + pad)
    box = (center[0] - half[0], center[1] - half[1], center[0] + half[0], center[1] + half[1])
    ImageDraw.Draw(page).rounded_rectangle(box, radius=pad, fill=INK)
    font.draw(page, center, text, fill="white", anchor="mm")


@dataclass(frozen=True, kw_only=True)
class Column:
    """What is shown of each of K expressions.

    Attributes:
        title: 'prediction', ...
        color: RGB of the outlines.
        masks: bool (K, H, W).
        notes: K texts, each drawn where its mask is empty.
    """

    title: str
    color: tuple[int, int, int]
    masks: np.ndarray
    notes: Sequence[str]


class Grid:
    """Lays out a page: cells of one expression each, with a panel for every column side by side.

    Args:
        image: uint8 RGB (H, W, 3).
        columns: At least one.
        across: Cells side by side.
        panel_width: Longer side of a panel where one cell stands alone; with more it is half of that.
        ignored: bool (K, H, W), pixels that are not counted, or None.
    """

    def __init__(
        self,
        *,
        image: np.ndarray,
        columns: Sequence[Column],
        across: int,
        panel_width: int,
        ignored: np.ndarray | None = None,
    ) -> None:
        self.image, self.columns, self.across, self.ignored = image, columns, across, ignored
        if across > 1:
            panel_width = max(MIN_PANEL_WIDTH, panel_width // 2)
        self.text = max(14, panel_width // 24)
        self.gap = self.text
        self.line = round(1.35 * self.text)
        self.size = panel_size(width=image.shape[1], height=image.shape[0], panel_width=panel_width)
        # Narrow or flat images stand in a larger frame, so that captions and notes keep their room.
        self.frame = (max(self.size[0], panel_width * 2 // 3), max(self.size[1], 3 * self.text))
        self.cell_width = len(columns) * (self.frame[0] + self.gap) - self.gap
        self.small = CaptionFont(round(0.8 * self.text))

    def draw(self, expressions: Sequence[str], scores: Sequence[str], *, more: int) -> Image.Image:
        """Draw the page.

        Args:
            expressions: K texts.
            scores: K texts at the right of the captions; may be empty.
            more: How many expressions are left out, for a line at the foot.
        """
        font, bold = CaptionFont(self.text), CaptionFont(self.text, bold=True)
        captions = []
        for text, score in zip(expressions, scores, strict=True):
            room = self.cell_width - (bold.getlength(score) + self.gap if score else 0)
            captions.append(caption_lines(text, font=font, width=room))
        rows = [range(k, min(k + self.across, len(captions))) for k in range(0, len(captions), self.across)]
        above, below = self.gap // 2, round(1.5 * self.gap)
        heights = [
            max(len(captions[k]) for k in row) * self.line + above + self.frame[1] + below for row in rows
        ]
        head = self.gap + self.line + above
        foot = self.line if more else self.gap - below
        width = self.across * (self.cell_width + 2 * self.gap)
        page = Image.new("RGB", (width, head + sum(heights) + foot), "white")
        for place in range(self.across):
            self._draw_titles(page, x=self._left(place))
        y = head
        for row, height in zip(rows, heights, strict=True):
            panels = y + height - below - self.frame[1]
            for place, k in enumerate(row):
                x = self._left(place)
                bold.draw(page, (x + self.cell_width, y), scores[k], fill=INK, anchor="ra")
                for number, text in enumerate(captions[k]):
                    font.draw(page, (x, y + number * self.line), text, fill=INK)
                self._draw_panels(page, k, x=x, y=panels)
            y += height
        if more:
            text = f"+ {more} more expression{'s' if more > 1 else ''}"
            self.small.draw(page, (self.gap, y - self.gap // 2), text, fill=GREY)
        return page

    def _left(self, place: int) -> int:
        return self.gap + place * (self.cell_width + 2 * self.gap)

    def _draw_titles(self, page: Image.Image, *, x: int) -> None:
        swatch, middle = round(0.7 * self.text), self.gap + self.line // 2
        for column in self.columns:
            box = (x, middle - swatch // 2, x + swatch, middle + swatch // 2)
            ImageDraw.Draw(page).rectangle(box, fill=column.color)
            place = (x + swatch + self.gap // 2, middle)
            self.small.draw(page, place, column.title, fill=GREY, anchor="lm")
            x += self.frame[0] + self.gap

    def _draw_panels(self, page: Image.Image, k: int, *, x: int, y: int) -> None:
        (width, height), size = self.frame, self.size
        image = self.image
        if self.ignored is not None:
            image = np.where(self.ignored[k][..., None], np.array(NOT_COUNTED, np.uint8), image)
        for column in self.columns:
            mask = column.masks[k]
            if self.frame != size:
                ImageDraw.Draw(page).rectangle((x, y, x + width - 1, y + height - 1), fill=LETTERBOX)
            panel = draw_panel(image=image, mask=mask, color=column.color, size=size)
            page.paste(Image.fromarray(panel), (x + (width - size[0]) // 2, y + (height - size[1]) // 2))
            if not mask.any():
                center = (x + width // 2, y + height // 2)
                draw_note(page, center=center, text=column.notes[k], font=self.small)
            x += width + self.gap
