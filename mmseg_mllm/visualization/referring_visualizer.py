"""Pages that show referring expressions with their ground-truth and predicted masks."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from mmengine.structures import BaseDataElement
from mmengine.visualization import Visualizer
from mmseg.registry import VISUALIZERS
from PIL import Image

from mmseg_mllm.errors import ConfigError, DataError
from mmseg_mllm.visualization.panels import GT_COLOR, MIN_PANEL_WIDTH, PRED_COLOR, Column, Grid

Masks = np.ndarray | torch.Tensor


def mask_iou(*, pred: np.ndarray, gt: np.ndarray) -> float:
    """Intersection over union of two bool masks of one shape, in [0, 1].

    Two empty masks give 1.0: the missing target was recognised, as gIoU counts it.
    """
    union = np.count_nonzero(pred | gt)
    return np.count_nonzero(pred & gt) / union if union else 1.0


def draw_referring(
    *,
    image: np.ndarray,
    expressions: Sequence[str],
    gt_masks: Masks | None,
    pred_masks: Masks | None,
    rejected: Masks | None = None,
    ignored: Masks | None = None,
    max_expressions: int = 12,
    panel_width: int = 480,
) -> np.ndarray:
    """Compose one page: a caption per expression, below it the ground truth and on its right the prediction.

    One or two expressions stand below each other in panels of full size, more of them side by side in small
    ones, up to three across.

    Args:
        image: uint8 RGB (H, W, 3).
        expressions: K texts.
        gt_masks: bool (K, H, W); an empty mask means that there is no target. None leaves the column out.
        pred_masks: bool (K, H, W). None leaves the column out.
        rejected: bool (K,), True where the model says that there is no target; its mask counts as empty.
        ignored: bool (K, H, W), pixels that are not counted, drawn in grey. None for no such pixels.
        max_expressions: how many are drawn; a foot line counts the others.
        panel_width: longer side of a panel of full size in pixels, whatever the size of the image; small ones
            have half of it.

    Returns:
        uint8 RGB (page height, page width, 3).

    Raises:
        DataError: the arrays do not fit each other.
        ConfigError: ``max_expressions`` or ``panel_width`` is too small.
    """
    _check_layout(max_expressions=max_expressions, panel_width=panel_width)
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise DataError(f"image must be uint8 (H, W, 3), got {image.dtype} {image.shape}")
    if not expressions or (gt_masks is None and pred_masks is None):
        raise DataError("nothing to draw: give at least one expression and gt_masks or pred_masks")
    for name, masks in (("gt_masks", gt_masks), ("pred_masks", pred_masks), ("ignored", ignored)):
        expected = (len(expressions), *image.shape[:2])
        if masks is not None and tuple(masks.shape) != expected:
            raise DataError(f"{name} must have shape (K, H, W) = {expected}, got {tuple(masks.shape)}")
    if rejected is not None and len(rejected) != len(expressions):
        raise DataError(f"rejected must have {len(expressions)} entries, got {len(rejected)}")

    shown = min(len(expressions), max_expressions)
    gt = None if gt_masks is None else _to_bool(gt_masks[:shown])
    pred = None if pred_masks is None else _to_bool(pred_masks[:shown])
    left_out = None if ignored is None else _to_bool(ignored[:shown])
    refused = np.zeros(shown, bool) if rejected is None else _to_bool(rejected[:shown])
    if pred is not None:
        pred = pred & ~refused[:, None, None]

    columns = []
    if gt is not None:
        title = "ground truth" if left_out is None else "ground truth; grey is not counted"
        columns.append(Column(title=title, color=GT_COLOR, masks=gt, notes=["no target"] * shown))
    if pred is not None:
        notes = ["no target" if flag else "empty mask" for flag in refused]
        columns.append(Column(title="prediction", color=PRED_COLOR, masks=pred, notes=notes))

    across = 1 if shown <= 2 else 2 if shown <= 4 else 3
    grid = Grid(image=image, columns=columns, across=across, panel_width=panel_width, ignored=left_out)
    if left_out is not None:  # the outlines show all that was drawn
        gt, pred = (None if masks is None else masks & ~left_out for masks in (gt, pred))
    page = grid.draw(
        [str(text) for text in expressions[:shown]],
        [
            "" if gt is None or pred is None else f"IoU {100 * mask_iou(pred=pred[k], gt=gt[k]):.1f}"
            for k in range(shown)
        ],
        more=len(expressions) - shown,
    )
    return np.array(page)


@VISUALIZERS.register_module()
class ReferringVisualizer(Visualizer):
    """Draws the masks of referring expressions and hands the pages to files or visualisation backends.

    Args:
        name: Name of the instance; positional as well, because MMEngine's manager requires it.
        vis_backends: Backends or their configs, e.g. ``[dict(type='LocalVisBackend')]``.
        save_dir: Folder of the backends.
        max_expressions: See :func:`draw_referring`.
        panel_width: See :func:`draw_referring`.
    """

    def __init__(
        self,
        name: str = "visualizer",
        *,
        vis_backends: list | dict | None = None,
        save_dir: str | None = None,
        max_expressions: int = 12,
        panel_width: int = 480,
    ) -> None:
        _check_layout(max_expressions=max_expressions, panel_width=panel_width)
        super().__init__(name=name, vis_backends=vis_backends, save_dir=save_dir)
        self.max_expressions = max_expressions
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
                bool (K, H, W), optional ``pred_instances.rejected`` bool (K,) and ``gt_instances.ignored``
                bool (K, H, W), on any device.
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
            ignored=None if gt is None else gt.get("ignored"),
            max_expressions=self.max_expressions,
            panel_width=self.panel_width,
        )
        if show:
            self.show(drawn, win_name=name, wait_time=wait_time)
        if out_file is None:
            self.add_image(name, drawn, step)
        else:
            Path(out_file).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(drawn).save(out_file)


def _check_layout(*, max_expressions: int, panel_width: int) -> None:
    if max_expressions < 1 or panel_width < MIN_PANEL_WIDTH:
        raise ConfigError(
            f"max_expressions must be at least 1 and panel_width at least {MIN_PANEL_WIDTH}, "
            f"got {max_expressions} and {panel_width}"
        )


def _to_bool(values: Masks) -> np.ndarray:
    return torch.as_tensor(values).cpu().numpy().astype(bool)
