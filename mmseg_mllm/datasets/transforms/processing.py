"""Changing a sample: which expressions, what size, how the JPEG was saved."""

import random

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from mmseg.registry import TRANSFORMS
from PIL import Image

from mmseg_mllm.input_size import InputSize, height_width, input_size

LONGEST_JPEG = 65_500
"""Pixels; the bound of libjpeg, on which OpenCV and Pillow stand."""


@TRANSFORMS.register_module()
class SampleExpressions(BaseTransform):
    """Keep at most ``max_expressions`` expressions, drawn anew at every call without replacement.

    Stands before :class:`LoadReferringMasks`, so that only masks in use are rasterised.

    Args:
        max_expressions: Most expressions per image and step.
    """

    def __init__(self, *, max_expressions: int = 5) -> None:
        self.max_expressions = max_expressions

    def transform(self, results: dict) -> dict:
        expressions = results["expressions"]
        results["expressions"] = random.sample(expressions, min(self.max_expressions, len(expressions)))
        return results


@TRANSFORMS.register_module()
class ResizeToInput(BaseTransform):
    """Resize the image as the MLLM's own preprocessing does: PIL bicubic, aspect ratio not kept.

    Masks that are already loaded follow with the nearest pixel, and boxes are scaled.

    Args:
        size: Side of the square input in pixels, or (height, width).
    """

    def __init__(self, *, size: InputSize) -> None:
        self.size = height_width(input_size(size))

    def transform(self, results: dict) -> dict:
        height, width = results["img"].shape[:2]
        image = Image.fromarray(results["img"]).resize(self.size[::-1], Image.Resampling.BICUBIC)
        results["img"] = np.array(image)
        results["img_shape"] = self.size
        for name in ("gt_masks", "gt_ignored"):
            if name in results:
                results[name] = _resize_masks(results[name], self.size)
        if "gt_bboxes" in results:
            x, y = self.size[1] / width, self.size[0] / height
            results["gt_bboxes"] = results["gt_bboxes"] * np.array([x, y, x, y], dtype=np.float32)
        return results


@TRANSFORMS.register_module()
class RandomJPEGQuality(BaseTransform):
    """Save the image as JPEG of a random quality and read it back, as MLLMSeg's training does.

    Images that are longer than a JPEG can be, 65,500 pixels, are left as they are.

    Args:
        min_quality, max_quality: Bounds of the JPEG quality (1 to 100), both included.
    """

    def __init__(self, *, min_quality: int = 75, max_quality: int = 100) -> None:
        self.min_quality = min_quality
        self.max_quality = max_quality

    def transform(self, results: dict) -> dict:
        if max(results["img"].shape[:2]) > LONGEST_JPEG:
            return results
        quality = [cv2.IMWRITE_JPEG_QUALITY, random.randint(self.min_quality, self.max_quality)]
        # OpenCV takes half of Pillow's time for the same pixels. It counts colours from blue.
        _, encoded = cv2.imencode(".jpg", cv2.cvtColor(results["img"], cv2.COLOR_RGB2BGR), quality)
        results["img"] = cv2.cvtColor(cv2.imdecode(encoded, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
        return results


def _resize_masks(masks: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(K, H, W) bool to (K, *size) by the nearest pixel; bytes are looked at as they are, not copied."""
    images = [Image.fromarray(mask.view(np.uint8)) for mask in masks]
    resized = [np.asarray(image.resize(size[::-1], Image.Resampling.NEAREST)) for image in images]
    return np.stack(resized).view(bool)
