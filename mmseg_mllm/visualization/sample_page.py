"""Pages that show a sample as stored and as the model gets it."""

from collections.abc import Mapping, Sequence

import numpy as np
from mmseg.structures import SegDataSample
from PIL import Image
from torch import Tensor

from mmseg_mllm.datasets.transforms import LoadReferringMasks, LoadRGBImage
from mmseg_mllm.visualization.fonts import CaptionFont
from mmseg_mllm.visualization.panels import GREY, INK
from mmseg_mllm.visualization.referring_visualizer import draw_referring


def draw_sample(stored: Mapping, packed: Mapping, *, panel_width: int = 320) -> np.ndarray:
    """One page: left the image and targets as stored, right as the pipeline hands them to the model.

    Args:
        stored: The sample before the pipeline (``img_path``, ``annotations``, ``expressions``, ...).
        packed: What the pipeline made of it: ``inputs`` (3, h, w) uint8 and ``data_samples``.
        panel_width: Longer side of each panel in pixels.

    Returns:
        (height, width, 3) uint8 RGB.

    Raises:
        DataError: the image or a mask can't be read.
    """
    sample: SegDataSample = packed["data_samples"]
    drawn = list(zip(sample.ref_ids, sample.sent_ids, strict=True))
    by_id = {(e["ref_id"], e["sent_id"]): e for e in stored["expressions"]}
    before = LoadReferringMasks()(LoadRGBImage()({**stored, "expressions": [by_id[key] for key in drawn]}))
    after = packed["inputs"].numpy().transpose(1, 2, 0)
    targets, size = sample.gt_instances, after.shape[:2]
    ignored = _fitted(targets.ignored, size) if "ignored" in targets else None
    pages = [
        ("as stored", before["img"], before["gt_masks"], before.get("gt_ignored")),
        ("after the pipeline", after, _fitted(targets.masks, size), ignored),
    ]
    parts = [
        _headed(
            f"{title}, {image.shape[1]} x {image.shape[0]}",
            draw_referring(
                image=np.ascontiguousarray(image),
                expressions=sample.expressions,
                gt_masks=masks,
                pred_masks=None,
                ignored=left_out,
                panel_width=panel_width,
            ),
        )
        for title, image, masks, left_out in pages
    ]
    name = f"{stored['dataset']} {stored['split']}, image {stored['img_id']}"
    return _headed(name, tile(parts, columns=2), ink=INK)


def tile(pages: Sequence[np.ndarray], *, columns: int) -> np.ndarray:
    """Pages (h, w, 3) uint8 of any size in rows of ``columns``, on white."""
    rows = [pages[i : i + columns] for i in range(0, len(pages), columns)]
    width = max(sum(page.shape[1] for page in row) for row in rows)
    sheet = np.full((sum(max(p.shape[0] for p in row) for row in rows), width, 3), 255, dtype=np.uint8)
    y = 0
    for row in rows:
        x = 0
        for page in row:
            sheet[y : y + page.shape[0], x : x + page.shape[1]] = page
            x += page.shape[1]
        y += max(page.shape[0] for page in row)
    return sheet


def _fitted(masks: Tensor, size: tuple[int, int]) -> np.ndarray:
    """Test pipelines keep the masks at the original size."""
    return np.stack(
        [np.array(Image.fromarray(m).resize(size[::-1], Image.Resampling.NEAREST)) for m in masks.numpy()]
    )


def _headed(text: str, page: np.ndarray, *, ink: tuple[int, int, int] = GREY) -> np.ndarray:
    canvas = Image.new("RGB", (page.shape[1], page.shape[0] + 26), "white")
    canvas.paste(Image.fromarray(page), (0, 26))
    CaptionFont(14).draw(canvas, (14, 8), text, fill=ink)
    return np.array(canvas)
