"""Pages that show referring expressions with their ground-truth and predicted masks."""

from bisect import bisect_right
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import cv2
import matplotlib
import numpy as np
import torch
from mmengine.structures import BaseDataElement
from mmengine.visualization import Visualizer
from mmseg.registry import VISUALIZERS
from PIL import Image, ImageDraw, ImageFont

from mmseg_mllm.errors import ConfigError, DataError

# Okabe-Ito blue and a lighter vermilion: told apart with every common colour blindness and in grey.
GT_COLOR = (0, 114, 178)
PRED_COLOR = (240, 110, 0)
MASK_OPACITY = 0.45
INK, GREY, LETTERBOX = (25, 25, 25), (105, 105, 105), (238, 238, 238)
MIN_PANEL_WIDTH = 160
MAX_CAPTION_LINES = 2

Masks = np.ndarray | torch.Tensor


def mask_iou(*, pred: np.ndarray, gt: np.ndarray) -> float:
    """Intersection over union of two bool masks of one shape, in [0, 1].

    Two empty masks give 1.0: the missing target was recognised, as gIoU counts it.
    """
    union = np.count_nonzero(pred | gt)
    return np.count_nonzero(pred & gt) / union if union else 1.0


def panel_size(*, width: int, height: int, panel_width: int) -> tuple[int, int]:
    """(width, height) of an image scaled to fit a square of ``panel_width``, at least one pixel each."""
    scale = panel_width / max(width, height)
    return max(1, round(width * scale)), max(1, round(height * scale))


def draw_panel(
    *, image: np.ndarray, mask: np.ndarray | None, color: tuple[int, int, int], size: tuple[int, int]
) -> np.ndarray:
    """Scale an image and lay a translucent mask with a contour over it.

    Args:
        image: uint8 RGB (H, W, 3).
        mask: bool (H, W); None draws the image alone.
        color: RGB of mask and contour.
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
    tinted = (1 - MASK_OPACITY) * panel[inside] + MASK_OPACITY * np.array(color)
    panel[inside] = tinted.round().astype(np.uint8)
    contours, _ = cv2.findContours(inside.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    line = max(1, round(max(size) / 240))
    # The white rim keeps the contour visible on a background of its own colour.
    cv2.drawContours(panel, contours, -1, (255, 255, 255), line + 2, cv2.LINE_AA)
    cv2.drawContours(panel, contours, -1, color, line, cv2.LINE_AA)
    return panel


def draw_referring(
    *,
    image: np.ndarray,
    expressions: Sequence[str],
    gt_masks: Masks | None,
    pred_masks: Masks | None,
    rejected: Masks | None = None,
    max_rows: int = 4,
    panel_width: int = 480,
) -> np.ndarray:
    """Compose one page: a captioned row per expression, ground truth on the left, prediction on the right.

    Args:
        image: uint8 RGB (H, W, 3).
        expressions: K texts.
        gt_masks: bool (K, H, W); an empty mask means that there is no target. None leaves the column out.
        pred_masks: bool (K, H, W). None leaves the column out.
        rejected: bool (K,), True where the model says that there is no target; its mask counts as empty.
        max_rows: expressions drawn; a foot line counts the others.
        panel_width: longer side of every panel in pixels, whatever the size of the image.

    Returns:
        uint8 RGB (page height, page width, 3).

    Raises:
        DataError: the arrays do not fit each other.
        ConfigError: ``max_rows`` or ``panel_width`` is too small.
    """
    _check_layout(max_rows=max_rows, panel_width=panel_width)
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise DataError(f"image must be uint8 (H, W, 3), got {image.dtype} {image.shape}")
    if not expressions or (gt_masks is None and pred_masks is None):
        raise DataError("nothing to draw: give at least one expression and gt_masks or pred_masks")
    for name, masks in (("gt_masks", gt_masks), ("pred_masks", pred_masks)):
        expected = (len(expressions), *image.shape[:2])
        if masks is not None and tuple(masks.shape) != expected:
            raise DataError(f"{name} must have shape (K, H, W) = {expected}, got {tuple(masks.shape)}")
    if rejected is not None and len(rejected) != len(expressions):
        raise DataError(f"rejected must have {len(expressions)} entries, got {len(rejected)}")

    shown = min(len(expressions), max_rows)
    gt = None if gt_masks is None else _to_bool(gt_masks[:shown])
    pred = None if pred_masks is None else _to_bool(pred_masks[:shown])
    refused = np.zeros(shown, bool) if rejected is None else _to_bool(rejected[:shown])
    if pred is not None:
        pred = pred & ~refused[:, None, None]

    columns = []  # title, colour, masks (K, H, W), text over an empty mask (K,)
    if gt is not None:
        columns.append(("ground truth", GT_COLOR, gt, ["no target"] * shown))
    if pred is not None:
        notes = ["no target" if flag else "empty mask" for flag in refused]
        columns.append(("prediction", PRED_COLOR, pred, notes))

    font_size = max(14, panel_width // 24)
    gap = font_size
    size = panel_size(width=image.shape[1], height=image.shape[0], panel_width=panel_width)
    # Narrow or flat images stand in a larger cell, so that captions and notes keep their room.
    cell = (max(size[0], panel_width * 2 // 3), max(size[1], 3 * font_size))
    content = len(columns) * (cell[0] + gap) - gap

    captions = []  # lines and IoU text of each row
    for row in range(shown):
        score = "" if gt is None or pred is None else f"IoU {100 * mask_iou(pred=pred[row], gt=gt[row]):.1f}"
        room = content - (caption_font(font_size, bold=True).getlength(score) + gap if score else 0)
        captions.append((caption_lines(expressions[row], font=caption_font(font_size), width=room), score))

    line = round(1.35 * font_size)
    above_panel, below_panel = gap // 2, round(1.5 * gap)
    head = gap + line + above_panel
    rows = sum(len(lines) * line + above_panel + cell[1] for lines, _ in captions)
    foot = below_panel + line if len(expressions) > shown else gap
    height = head + rows + (shown - 1) * below_panel + foot
    page = Image.new("RGB", (content + 2 * gap, height), "white")
    draw = ImageDraw.Draw(page)
    small, swatch = caption_font(round(0.8 * font_size)), round(0.7 * font_size)
    y = gap
    for column, (title, color, _, _) in enumerate(columns):
        x, middle = gap + column * (cell[0] + gap), y + line // 2
        draw.rectangle((x, middle - swatch // 2, x + swatch, middle + swatch // 2), fill=color)
        draw.text((x + swatch + gap // 2, middle), title, fill=GREY, font=small, anchor="lm")
    y = head
    for row, (lines, score) in enumerate(captions):
        if score:
            draw.text(
                (gap + content, y), score, fill=INK, font=caption_font(font_size, bold=True), anchor="ra"
            )
        for text in lines:
            draw.text((gap, y), text, fill=INK, font=caption_font(font_size), anchor="la")
            y += line
        y += above_panel
        for column, (_, color, masks, notes) in enumerate(columns):
            x = gap + column * (cell[0] + gap)
            if cell != size:
                draw.rectangle((x, y, x + cell[0] - 1, y + cell[1] - 1), fill=LETTERBOX)
            panel = Image.fromarray(draw_panel(image=image, mask=masks[row], color=color, size=size))
            page.paste(panel, (x + (cell[0] - size[0]) // 2, y + (cell[1] - size[1]) // 2))
            if not masks[row].any():
                draw_note(draw, center=(x + cell[0] // 2, y + cell[1] // 2), text=notes[row], font=small)
        y += cell[1] + below_panel
    more = len(expressions) - shown
    if more:
        text = f"+ {more} more expression{'s' if more > 1 else ''}"
        draw.text((gap, y - gap // 2), text, fill=GREY, font=small, anchor="la")
    return np.array(page)


@VISUALIZERS.register_module()
class ReferringVisualizer(Visualizer):
    """Draws the masks of referring expressions and hands the pages to files or visualisation backends.

    Args:
        name: Name of the instance; positional as well, because MMEngine's manager requires it.
        vis_backends: Backends or their configs, e.g. ``[dict(type='LocalVisBackend')]``.
        save_dir: Folder of the backends.
        max_rows: See :func:`draw_referring`.
        panel_width: See :func:`draw_referring`.
    """

    def __init__(
        self,
        name: str = "visualizer",
        *,
        vis_backends: list | dict | None = None,
        save_dir: str | None = None,
        max_rows: int = 4,
        panel_width: int = 480,
    ) -> None:
        _check_layout(max_rows=max_rows, panel_width=panel_width)
        super().__init__(name=name, vis_backends=vis_backends, save_dir=save_dir)
        self.max_rows = max_rows
        self.panel_width = panel_width

    def add_datasample(
        self,
        name: str,
        image: np.ndarray,
        data_sample: BaseDataElement,
        draw_gt: bool = True,
        draw_pred: bool = True,
        show: bool = False,
        wait_time: float = 0,
        out_file: str | None = None,
        step: int = 0,
    ) -> None:
        """Draw one data sample and write it to ``out_file``, or to the backends where that is None.

        Args:
            name: Name under which the backends store the page.
            image: uint8 RGB (H, W, 3), original size.
            data_sample: ``expressions`` in its metainfo, ``gt_instances.masks`` and ``pred_instances.masks``
                bool (K, H, W), optional ``pred_instances.rejected`` bool (K,), on any device.
            draw_gt: Draw the ground truth, if there is one.
            draw_pred: Draw the prediction, if there is one.
            show: Open a window with the page.
            wait_time: Seconds that the window stays open; 0 waits for a key.
            out_file: ``.png``, ``.jpg``, ...; missing folders are made.
            step: Step under which the backends store the page.

        Raises:
            DataError: the sample has nothing to draw or its arrays do not fit the image.
        """
        gt = data_sample.get("gt_instances") if draw_gt else None
        pred = data_sample.get("pred_instances") if draw_pred else None
        drawn = draw_referring(
            image=image,
            expressions=data_sample.metainfo.get("expressions", ()),
            gt_masks=None if gt is None else gt.get("masks"),
            pred_masks=None if pred is None else pred.get("masks"),
            rejected=None if pred is None else pred.get("rejected"),
            max_rows=self.max_rows,
            panel_width=self.panel_width,
        )
        if show:
            self.show(drawn, win_name=name, wait_time=wait_time)
        if out_file is None:
            self.add_image(name, drawn, step)
        else:
            Path(out_file).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(drawn).save(out_file)


def _check_layout(*, max_rows: int, panel_width: int) -> None:
    if max_rows < 1 or panel_width < MIN_PANEL_WIDTH:
        raise ConfigError(
            f"max_rows must be at least 1 and panel_width at least {MIN_PANEL_WIDTH}, "
            f"got {max_rows} and {panel_width}"
        )


def _to_bool(values: Masks) -> np.ndarray:
    return torch.as_tensor(values).cpu().numpy().astype(bool)


@lru_cache
def caption_font(size: int, *, bold: bool = False) -> ImageFont.FreeTypeFont:
    """DejaVu Sans of this size in pixels, which comes with matplotlib."""
    file = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / file), size)


def caption_lines(expression: str, *, font: ImageFont.FreeTypeFont, width: float) -> list[str]:
    """The quoted expression on at most ``MAX_CAPTION_LINES`` lines, none longer than ``width`` pixels."""
    words = f"“{' '.join(expression.split())}”".split(" ")
    lines = [words[0]]
    for index, word in enumerate(words[1:], start=1):
        if font.getlength(f"{lines[-1]} {word}") <= width:
            lines[-1] += f" {word}"
        elif len(lines) < MAX_CAPTION_LINES:
            lines.append(word)
        else:
            lines[-1] = " ".join([lines[-1], *words[index:]])
            break
    return [shorten(line, font=font, width=width) for line in lines]


def shorten(text: str, *, font: ImageFont.FreeTypeFont, width: float) -> str:
    """The text, cut with an ellipsis where it is longer than ``width`` pixels."""
    if font.getlength(text) <= width:
        return text
    end = "…”" if text.endswith("”") else "…"
    fitting = bisect_right(range(1, len(text)), width, key=lambda n: font.getlength(text[:n] + end))
    return text[:fitting].rstrip() + end


def draw_note(
    draw: ImageDraw.ImageDraw, *, center: tuple[int, int], text: str, font: ImageFont.FreeTypeFont
) -> None:
    """White text on a dark rounded box, centred at ``center`` (x, y)."""
    left, top, right, bottom = draw.textbbox(center, text, font=font, anchor="mm")
    pad = round(0.5 * font.size)
    box = (left - 2 * pad, top - pad, right + 2 * pad, bottom + pad)
    draw.rounded_rectangle(box, radius=pad, fill=INK)
    draw.text(center, text, fill="white", font=font, anchor="mm")
