"""Metrics of referring segmentation."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log
from mmseg.registry import METRICS
from torch import Tensor

from mmseg_mllm.evaluation.report import ResultRow, table_text

THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9)


@dataclass(frozen=True, kw_only=True)
class _ImageRecord:
    """Pixel counts of one image's K expressions; plain numbers, so that processes can exchange them."""

    dataset: str
    split: str
    protocol: str
    objects: int
    intersections: list[int]
    unions: list[int]
    rotated_intersections: list[int] = field(default_factory=list)
    rotated_unions: list[int] = field(default_factory=list)


@METRICS.register_module()
class RESMetric(BaseMetric):
    """cIoU, mean IoU per expression and Pr@X for each dataset and split in the test set.

    cIoU is the sum of intersections over the sum of unions; mIoU the mean over expressions of their IoU;
    Pr@X the share of expressions whose IoU is above X. Where prediction and target are both empty the IoU
    is 1. All figures are in percent. Sums are of whole pixels, so any number of processes gives the same
    figures, and samples that a sampler adds to even out processes are not counted.

    Args:
        rotate_expressions: Also score each expression's mask against the target of the next object of its
            image, a control: a model that reads the expressions must fall far below its own score.
            Images whose expressions share one target are left out of it.
    """

    default_prefix = ""

    def __init__(self, *, rotate_expressions: bool = False) -> None:
        # 'gpu' gathers through the process group, on gloo too, and needs no file system in common.
        super().__init__(collect_device="gpu")
        self.rotate_expressions = rotate_expressions
        self.rows: list[ResultRow] = []

    def process(self, data_batch: dict | None, data_samples: Sequence[dict]) -> None:
        """Count pixels of each image: ``pred_instances.masks`` and ``gt_instances.masks`` (K, H, W) bool."""
        for sample in data_samples:
            gt = sample["gt_instances"]["masks"]
            pred = sample["pred_instances"]["masks"].to(gt.device)
            intersections, unions = _count(pred, gt)
            rotated = ([], [])
            if self.rotate_expressions:
                to = _next_targets(sample["ann_ids"])
                if to is not None:
                    rotated = _count(pred, gt[to])
            self.results.append(
                _ImageRecord(
                    dataset=sample["dataset"],
                    split=sample["split"],
                    protocol=sample["protocol"],
                    objects=len(set(sample["ann_ids"])),
                    intersections=intersections,
                    unions=unions,
                    rotated_intersections=rotated[0],
                    rotated_unions=rotated[1],
                )
            )

    def compute_metrics(self, results: list[_ImageRecord]) -> dict[str, float]:
        """Figures by ``dataset/split/name``; ``self.rows`` keeps them for a report."""
        groups: dict[tuple[str, str, str], list[_ImageRecord]] = {}
        for record in results:
            groups.setdefault((record.dataset, record.split, record.protocol), []).append(record)
        self.rows = [self._row(*key, records) for key, records in groups.items()]
        print_log(f"\n{table_text(self.rows)}", logger="current")
        return {
            f"{row.dataset}/{row.split}/{name}": value
            for row in self.rows
            for name, value in {**row.figures, **row.counts}.items()
        }

    def _row(self, dataset: str, split: str, protocol: str, records: list[_ImageRecord]) -> ResultRow:
        intersections = [i for record in records for i in record.intersections]
        unions = [u for record in records for u in record.unions]
        ious = [i / u if u else 1.0 for i, u in zip(intersections, unions, strict=True)]
        figures = dict(cIoU=_share(sum(intersections), sum(unions)), mIoU=_share(sum(ious), len(ious)))
        for threshold in THRESHOLDS:
            figures[f"Pr@{threshold}"] = _share(sum(iou > threshold for iou in ious), len(ious))
        if self.rotate_expressions:
            figures["cIoU rotated"] = _share(
                sum(i for record in records for i in record.rotated_intersections),
                sum(u for record in records for u in record.rotated_unions),
            )
        counts = dict(
            images=len(records), objects=sum(record.objects for record in records), expressions=len(ious)
        )
        return ResultRow(dataset=dataset, split=split, protocol=protocol, counts=counts, figures=figures)


def _count(pred: Tensor, gt: Tensor) -> tuple[list[int], list[int]]:
    """Intersections and unions in pixels of K mask pairs (K, H, W) bool."""
    both = torch.stack([(pred & gt).sum(dim=(1, 2)), (pred | gt).sum(dim=(1, 2))])
    intersections, unions = both.tolist()
    return intersections, unions


def _next_targets(ann_ids: Sequence[tuple[int, ...]]) -> list[int] | None:
    """For each expression the index of one that speaks of the next target; None if there is one target."""
    targets = list(dict.fromkeys(ann_ids))
    if len(targets) < 2:
        return None
    first = {target: list(ann_ids).index(target) for target in targets}
    return [first[targets[(targets.index(ids) + 1) % len(targets)]] for ids in ann_ids]


def _share(part: float, whole: float) -> float:
    return 100 * part / whole if whole else float("nan")
