"""Pages that show one expression's masks of several runs side by side."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from mmseg_mllm.visualization.fonts import CaptionFont, caption_lines, shorten
from mmseg_mllm.visualization.panels import (
    GREY,
    GT_COLOR,
    INK,
    LETTERBOX,
    OTHER_COLOR,
    PRED_COLOR,
    draw_note,
    draw_panel,
    panel_size,
)

PANEL_WIDTH = 400
TEXT, SMALL, LINE, GAP = 16, 13, 22, 16
"""Sizes of captions and of other text, the height of a line, and the space between parts, in pixels."""


@dataclass(frozen=True, kw_only=True)
class RunMask:
    """What one run says of the expression.

    Attributes:
        name: Short, such as 'A'.
        mask: bool (H, W), as it counts.
        iou: IoU with the target in [0, 1].
        rejected: The run holds that there is no target.
    """

    name: str
    mask: np.ndarray
    iou: float
    rejected: bool


def draw_comparison(
    *,
    image: np.ndarray,
    expression: str,
    target: np.ndarray | None,
    runs: Sequence[RunMask],
    foot: Sequence[str],
) -> np.ndarray:
    """Compose one page: the expression, below it the image, the target and each run's mask, then small lines.

    Args:
        image: uint8 RGB (H, W, 3).
        expression: Its text.
        target: bool (H, W); None for no target.
        runs: One or two, with masks of the image's size.
        foot: Lines at the bottom.

    Returns:
        uint8 RGB (page height, page width, 3).
    """
    no_target = target is None
    target = np.zeros(image.shape[:2], dtype=bool) if no_target else target
    panels = [  # title, colour, mask, text over an empty one
        ("image", None, None, ""),
        ("target", GT_COLOR, target, "no target" if no_target else "empty mask"),
    ]
    for run, color in zip(runs, (PRED_COLOR, OTHER_COLOR), strict=False):
        title = f"{run.name}   IoU {100 * run.iou:.1f}" + (", rejected" if run.rejected else "")
        panels.append((title, color, run.mask, "no target" if run.rejected else "empty mask"))

    size = panel_size(width=image.shape[1], height=image.shape[0], panel_width=PANEL_WIDTH)
    # Narrow or flat images stand in a larger cell, so that titles and notes keep their room.
    cell = (max(size[0], PANEL_WIDTH * 2 // 3), max(size[1], 3 * TEXT))
    width = len(panels) * (cell[0] + GAP) - GAP
    caption = caption_lines(expression, font=CaptionFont(TEXT), width=width)
    head = GAP + len(caption) * LINE + GAP // 2
    top = head + LINE + GAP // 2
    bottom = top + cell[1] + GAP // 2
    page = Image.new("RGB", (width + 2 * GAP, bottom + len(foot) * LINE + GAP // 2), "white")
    draw = ImageDraw.Draw(page)
    for row, text in enumerate(caption):
        CaptionFont(TEXT).draw(page, (GAP, GAP + row * LINE), text, fill=INK)
    for column, (title, color, mask, note) in enumerate(panels):
        x = GAP + column * (cell[0] + GAP)
        swatch = 0
        if color is not None:
            swatch = LINE // 2
            draw.rectangle((x, head + swatch // 2, x + swatch, head + 3 * swatch // 2), fill=color)
            swatch += GAP // 2
        font = CaptionFont(SMALL, bold=True)
        font.draw(page, (x + swatch, head + LINE // 2), title, fill=INK, anchor="lm")
        if cell != size:
            draw.rectangle((x, top, x + cell[0] - 1, top + cell[1] - 1), fill=LETTERBOX)
        panel = Image.fromarray(draw_panel(image=image, mask=mask, color=color, size=size))
        page.paste(panel, (x + (cell[0] - size[0]) // 2, top + (cell[1] - size[1]) // 2))
        if mask is not None and not mask.any():
            center = (x + cell[0] // 2, top + cell[1] // 2)
            draw_note(page, center=center, text=note, font=CaptionFont(SMALL))
    for row, text in enumerate(foot):
        line = shorten(text, font=CaptionFont(SMALL), width=width)
        CaptionFont(SMALL).draw(page, (GAP, bottom + row * LINE), line, fill=GREY)
    return np.array(page)
