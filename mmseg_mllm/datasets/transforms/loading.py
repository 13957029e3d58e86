"""From disk: the image, and the masks and boxes of its expressions."""

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmseg.registry import TRANSFORMS

from mmseg_mllm.boxes import mask_boxes
from mmseg_mllm.datasets.images import is_turned, read_rgb
from mmseg_mllm.datasets.masks import annotated_box, union_mask
from mmseg_mllm.errors import DataError


@TRANSFORMS.register_module()
class LoadRGBImage(BaseTransform):
    """Read ``img_path`` as RGB, turned as its EXIF orientation says where the sample's ``upright`` is set.

    Adds ``img`` (H, W, 3) uint8, ``ori_shape`` and ``img_shape`` (H, W).

    Raises:
        DataError: the file is missing, broken, or of another size than its annotation says.
    """

    def transform(self, results: dict) -> dict:
        path, upright = results["img_path"], results.get("upright", False)
        image = read_rgb(path, upright=upright)
        stated = results.get("height"), results.get("width")
        if None not in stated and image.shape[:2] != stated:
            turned = f", or it is for its EXIF turn, which is {'' if upright else 'not '}applied"
            raise DataError(
                f"{path}: the image has {image.shape[1]}x{image.shape[0]} pixels, but its masks were drawn "
                f"for {stated[1]}x{stated[0]}; image and annotation don't belong together"
                f"{f'{turned} (see docs/datasets.md)' if is_turned(path) else ''}"
            )
        results["img"] = image
        results["ori_shape"] = results["img_shape"] = image.shape[:2]
        return results


@TRANSFORMS.register_module()
class LoadReferringMasks(BaseTransform):
    """Rasterise the target of each expression with pycocotools, and tell its box.

    Adds ``gt_masks`` (K, H, W) bool at the annotation's size, the union of the annotations of each
    expression, empty where there is no target, and ``gt_bboxes`` (K, 4) float32, x1, y1, x2, y2 in pixels of
    the original image, the box around the annotated boxes of each expression, zeros where there is no target.
    An annotation whose box is missing or wrong counts with the box around its mask (see ``mask_boxes``).
    Where an expression has ``ignore_ids`` there is also ``gt_ignored`` (K, H, W) bool, the pixels that are
    not counted.

    In training it stands before the resize (which then takes masks and boxes along), in testing after it (so
    that the metric sees the original size).

    Raises:
        DataError: a segmentation can't be read, is of another size than the image, or covers no pixel where
            the sample's ``may_cover_nothing`` is not set.
    """

    def transform(self, results: dict) -> dict:
        height, width = results["ori_shape"]
        where = f"{results['dataset']} image {results['img_id']}"
        masks: dict[tuple[int, ...], np.ndarray] = {}
        boxes: dict[tuple[int, ...], np.ndarray] = {}
        for expression in results["expressions"]:
            ids = expression["ann_ids"]
            if ids not in masks:
                annotations = {i: results["annotations"][i] for i in ids}
                segmentations = {i: annotation["segmentation"] for i, annotation in annotations.items()}
                masks[ids] = union_mask(
                    segmentations,
                    height=height,
                    width=width,
                    where=where,
                    may_cover_nothing=results.get("may_cover_nothing", False),
                )
                boxes[ids] = _box_around(annotations, height=height, width=width)
        if any("ignore_ids" in e for e in results["expressions"]):
            results["gt_ignored"] = np.stack(
                [
                    union_mask(
                        {i: results["annotations"][i]["segmentation"] for i in e.get("ignore_ids", ())},
                        height=height,
                        width=width,
                        where=where,
                    )
                    for e in results["expressions"]
                ]
            )
        results["gt_masks"] = np.stack([masks[e["ann_ids"]] for e in results["expressions"]])
        results["gt_bboxes"] = np.stack([boxes[e["ann_ids"]] for e in results["expressions"]])
        return results


def _box_around(annotations: dict[int, dict], *, height: int, width: int) -> np.ndarray:
    """The box (4,) float32 around all annotations' boxes, zeros around nothing."""
    boxes = []
    for ann_id, annotation in annotations.items():
        box = annotated_box(annotation.get("bbox"), height=height, width=width)
        if box is None:
            mask = union_mask({ann_id: annotation["segmentation"]}, height=height, width=width)
            if not mask.any():  # zeros would reach to the image's corner
                continue
            box = mask_boxes(torch.from_numpy(mask)[None])[0].numpy()
        boxes.append(box)
    if not boxes:
        return np.zeros(4, dtype=np.float32)
    corners = np.stack(boxes)
    return np.concatenate([corners[:, :2].min(axis=0), corners[:, 2:].max(axis=0)]).astype(np.float32)
