"""From disk: the image and the masks of its expressions."""

import numpy as np
from mmcv.transforms import BaseTransform
from mmseg.registry import TRANSFORMS

from mmseg_mllm.datasets.images import read_rgb
from mmseg_mllm.datasets.masks import union_mask
from mmseg_mllm.errors import DataError


@TRANSFORMS.register_module()
class LoadRGBImage(BaseTransform):
    """Read ``img_path`` as RGB, as stored: the annotations know nothing of EXIF rotation.

    Adds ``img`` (H, W, 3) uint8, ``ori_shape`` and ``img_shape`` (H, W).

    Raises:
        DataError: the file is missing, broken, or of another size than its annotation says.
    """

    def transform(self, results: dict) -> dict:
        image = read_rgb(results["img_path"])
        stated = results.get("height"), results.get("width")
        if None not in stated and image.shape[:2] != stated:
            raise DataError(
                f"{results['img_path']}: the image has {image.shape[1]}x{image.shape[0]} pixels, but its "
                f"masks were drawn for {stated[1]}x{stated[0]}; image and annotation don't belong together"
            )
        results["img"] = image
        results["ori_shape"] = results["img_shape"] = image.shape[:2]
        return results


@TRANSFORMS.register_module()
class LoadReferringMasks(BaseTransform):
    """Rasterise the target of each expression with pycocotools.

    Adds ``gt_masks`` (K, H, W) bool at the annotation's size, the union of the annotations of each
    expression, empty where there is no target. In training it stands before the resize (which then takes
    the masks along), in testing after it (so that the metric sees the original size).

    Raises:
        DataError: a segmentation can't be read, or is of another size than the image.
    """

    def transform(self, results: dict) -> dict:
        height, width = results["ori_shape"]
        where = f"{results['dataset']} image {results['img_id']}"
        by_target: dict[tuple[int, ...], np.ndarray] = {}
        for expression in results["expressions"]:
            ids = expression["ann_ids"]
            if ids not in by_target:
                segmentations = {i: results["annotations"][i]["segmentation"] for i in ids}
                by_target[ids] = union_mask(segmentations, height=height, width=width, where=where)
        results["gt_masks"] = np.stack([by_target[e["ann_ids"]] for e in results["expressions"]])
        return results
