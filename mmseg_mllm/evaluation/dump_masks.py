"""Writing predictions to a file."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from mmengine.evaluator import BaseMetric
from mmseg.registry import METRICS
from pycocotools import mask as coco_mask
from torch import Tensor

from mmseg_mllm.errors import ConfigError
from mmseg_mllm.evaluation.counts import count_image
from mmseg_mllm.evaluation.predictions import BETWEEN_PROTOCOLS


@METRICS.register_module()
class DumpMasks(BaseMetric):
    """Write what was predicted for each expression, in the order of the test set.

    The file is JSON, one prediction a line. It holds ``protocol`` and ``predictions``, a list of dicts with
    ``dataset``, ``split``, ``image_id``, ``ref_id``, ``sent_id``, ``expression``, ``image_path``,
    ``upright`` (whether the image was turned by its EXIF orientation), ``score``
    (log p([SEG]) - log p([REJ])), ``rejected``, ``bbox`` (x1, y1, x2, y2 in pixels, of probabilities above
    0.5, so not quite the box of the mask) and ``segmentation`` (the mask as COCO RLE, ``size`` and
    ``counts``). Where the test set has annotations there are also ``target``, the annotated mask as RLE, null
    for no target, and ``iou`` in [0, 1], the IoU of both masks; without a target it is 1 if that was said
    and else 0. :func:`read_predictions` reads it.

    Until the end of the test the encoded predictions of the whole test set are held in memory, some hundred
    bytes to a kilobyte or two for each expression.

    Args:
        out_file: JSON file to write; folders are made.

    Raises:
        ConfigError: the file can't be written.
    """

    default_prefix = ""

    def __init__(self, *, out_file: str) -> None:
        super().__init__(collect_device="gpu")
        self.out_file = Path(out_file)
        try:  # now, and not after hours of testing
            self.out_file.parent.mkdir(parents=True, exist_ok=True)
            self.out_file.touch()
        except OSError as error:
            raise ConfigError(f"{out_file}: predictions can't be written there ({error.strerror})") from None

    def process(self, data_batch: dict | None, data_samples: Sequence[dict]) -> None:
        """Encode each image's K masks; see :func:`count_image` for what a sample holds.

        ``ref_ids``, ``sent_ids``, ``expressions`` and, in ``pred_instances``, ``scores`` (K,) and ``bboxes``
        (K, 4) are needed as well; ``gt_instances`` may lack.
        """
        for sample in data_samples:
            pred = sample["pred_instances"]
            self.results.append(
                [
                    dict(
                        dataset=sample["dataset"],
                        split=sample["split"],
                        image_id=sample["img_id"],
                        ref_id=ref_id,
                        sent_id=sent_id,
                        expression=expression,
                        image_path=sample["img_path"],
                        upright=sample.get("upright", False),
                        score=score,
                        rejected=rejected,
                        bbox=bbox,
                        segmentation=rle,
                        **target,
                        protocol=sample["protocol"],
                    )
                    for ref_id, sent_id, expression, score, rejected, bbox, rle, target in zip(
                        sample["ref_ids"],
                        sample["sent_ids"],
                        sample["expressions"],
                        pred["scores"].tolist(),
                        pred["rejected"].tolist(),
                        pred["bboxes"].tolist(),
                        _rles(pred["masks"]),
                        _targets(sample),
                        strict=True,
                    )
                ]
            )

    def compute_metrics(self, results: list[list[dict]]) -> dict[str, float]:
        """Write the file; there is nothing to measure."""
        predictions = [prediction for image in results for prediction in image]
        protocols = sorted({prediction.pop("protocol") for prediction in predictions})
        # Line by line: the text of all predictions is never in memory.
        with self.out_file.open("w", encoding="utf-8") as file:
            file.write(f'{{"protocol": {json.dumps(BETWEEN_PROTOCOLS.join(protocols))}, "predictions": [')
            for index, prediction in enumerate(predictions):
                file.write(",\n" if index else "\n")
                file.write(json.dumps(prediction))
            file.write("\n]}\n")
        return {}


def _targets(sample: dict) -> list[dict]:
    """Target and IoU of each expression; of none where the test set has no annotations."""
    if "gt_instances" not in sample:
        return [{} for _ in sample["expressions"]]
    counted = count_image(sample, rotate=False).expressions
    return [
        dict(target=rle if e.has_target else None, iou=e.iou if e.has_target else float(e.rejected))
        for e, rle in zip(counted, _rles(sample["gt_instances"]["masks"]), strict=True)
    ]


def _rles(masks: Tensor) -> list[dict]:
    """COCO RLE of masks (K, H, W) bool."""
    # pycocotools takes (H, W, K) in column order.
    encoded = coco_mask.encode(np.asfortranarray(masks.permute(1, 2, 0).cpu().numpy().astype(np.uint8)))
    return [dict(size=rle["size"], counts=rle["counts"].decode()) for rle in encoded]
