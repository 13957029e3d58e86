"""Changing a sample: which expressions, what size, how the JPEG was saved."""

import io
import random

import numpy as np
from mmcv.transforms import BaseTransform
from mmseg.registry import TRANSFORMS
from PIL import Image


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
        size: Side of the square input in pixels.
    """

    def __init__(self, *, size: int) -> None:
        self.size = size

    def transform(self, results: dict) -> dict:
        size = (self.size, self.size)
        height, width = results["img"].shape[:2]
        results["img"] = np.array(Image.fromarray(results["img"]).resize(size, Image.Resampling.BICUBIC))
        results["img_shape"] = size
        if "gt_masks" in results:
            masks = [Image.fromarray(mask.astype(np.uint8)) for mask in results["gt_masks"]]
            resized = [np.array(mask.resize(size, Image.Resampling.NEAREST)) for mask in masks]
            results["gt_masks"] = np.stack(resized).astype(bool)
        if "gt_bboxes" in results:
            x, y = self.size / width, self.size / height
            results["gt_bboxes"] = results["gt_bboxes"] * np.array([x, y, x, y], dtype=np.float32)
        return results


@TRANSFORMS.register_module()
class RandomJPEGQuality(BaseTransform):
    """Save the image as JPEG of a random quality and read it back, as MLLMSeg's training does.

    Args:
        min_quality, max_quality: Bounds of Pillow's JPEG quality, both included.
    """

    def __init__(self, *, min_quality: int = 75, max_quality: int = 100) -> None:
        self.min_quality = min_quality
        self.max_quality = max_quality

    def transform(self, results: dict) -> dict:
        buffer = io.BytesIO()
        quality = random.randint(self.min_quality, self.max_quality)
        Image.fromarray(results["img"]).save(buffer, format="JPEG", quality=quality)
        with Image.open(buffer) as image:
            results["img"] = np.array(image.convert("RGB"))
        return results
