"""Writing predictions to a file."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from mmengine.evaluator import BaseMetric
from mmseg.registry import METRICS
from pycocotools import mask as coco_mask

from mmseg_mllm.errors import ConfigError


@METRICS.register_module()
class DumpMasks(BaseMetric):
    """Write every predicted mask as COCO RLE, in the order of the test set.

    The file holds ``protocol`` and ``predictions``, a list of dicts with ``dataset``, ``split``,
    ``image_id``, ``ref_id``, ``sent_id``, ``expression``, ``score`` (log p([SEG]) - log p([REJ])),
    ``rejected`` and ``segmentation`` (``size`` and ``counts``).

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
        """Encode the masks (K, H, W) bool of each image."""
        for sample in data_samples:
            pred = sample["pred_instances"]
            # pycocotools takes (H, W, K) in column order.
            masks = np.asfortranarray(pred["masks"].permute(1, 2, 0).cpu().numpy().astype(np.uint8))
            rles = coco_mask.encode(masks)
            self.results.append(
                [
                    dict(
                        dataset=sample["dataset"],
                        split=sample["split"],
                        image_id=sample["img_id"],
                        ref_id=ref_id,
                        sent_id=sent_id,
                        expression=expression,
                        score=score,
                        rejected=rejected,
                        segmentation=dict(size=rle["size"], counts=rle["counts"].decode()),
                        protocol=sample["protocol"],
                    )
                    for ref_id, sent_id, expression, score, rejected, rle in zip(
                        sample["ref_ids"],
                        sample["sent_ids"],
                        sample["expressions"],
                        pred["scores"].tolist(),
                        pred["rejected"].tolist(),
                        rles,
                        strict=True,
                    )
                ]
            )

    def compute_metrics(self, results: list[list[dict]]) -> dict[str, float]:
        """Write the file; there is nothing to measure."""
        predictions = [prediction for image in results for prediction in image]
        protocols = sorted({prediction.pop("protocol") for prediction in predictions})
        content = dict(protocol="; ".join(protocols), predictions=predictions)
        self.out_file.write_text(json.dumps(content), encoding="utf-8")
        return {}
