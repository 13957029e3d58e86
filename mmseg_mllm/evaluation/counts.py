"""Counting one image's predictions, on the device that holds them."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mmseg_mllm.boxes import box_iou


@dataclass(frozen=True, kw_only=True)
class ExpressionCounts:
    """What the figures need to know of one expression.

    Attributes:
        intersection, predicted, target: Pixels of both masks, of the predicted and of the annotated one,
            without those that are not counted.
        has_target: The expression speaks of something in the image.
        rejected: The model says that it does not.
        box_iou: IoU of the predicted and the annotated box; None where there are no boxes, or pixels that are
            not counted: a box can't leave them out.
    """

    intersection: int
    predicted: int
    target: int
    has_target: bool
    rejected: bool
    box_iou: float | None

    @property
    def union(self) -> int:
        """Pixels of either mask."""
        return self.predicted + self.target - self.intersection

    @property
    def iou(self) -> float:
        """IoU of the masks, 1 where both are empty."""
        return self.intersection / self.union if self.union else 1.0


@dataclass(frozen=True, kw_only=True)
class ImageCounts:
    """One image's K expressions; plain numbers, so that processes can exchange them.

    Attributes:
        dataset, split, protocol: What was tested, and how.
        objects: Number of different targets.
        expressions: K counts.
        rotated_intersection, rotated_union: Pixels of all masks against the next object's target.
    """

    dataset: str
    split: str
    protocol: str
    objects: int
    expressions: list[ExpressionCounts]
    rotated_intersection: int
    rotated_union: int


def count_image(sample: dict, *, rotate: bool) -> ImageCounts:
    """Count one image, with one transfer from the device.

    Args:
        sample: A data sample as a dict, with the names of :class:`ImageCounts`, ``ann_ids`` (K tuples, empty
            for no target), ``pred_instances`` and ``gt_instances`` with ``masks`` (K, H, W) bool; where there
            are any ``bboxes`` (K, 4) x1, y1, x2, y2 in both, ``pred_instances.rejected`` (K,) bool, and
            ``gt_instances.ignored`` (K, H, W) bool, pixels that count as neither. A model that gives no
            verdicts rejects nothing.
        rotate: Also count each mask against the target of the image's next object.
    """
    ann_ids, pred, gt = sample["ann_ids"], sample["pred_instances"], sample["gt_instances"]
    masks = pred["masks"]
    targets = gt["masks"].to(masks.device)
    rows = {}
    if "ignored" in gt:
        ignored = gt["ignored"].to(masks.device)
        masks, targets = masks & ~ignored, targets & ~ignored
        rows["ignored"] = _pixels(ignored)
    rows |= dict(
        intersection=_pixels(masks & targets),
        predicted=_pixels(masks),
        target=_pixels(targets),
    )
    if "rejected" in pred:
        rows["rejected"] = pred["rejected"]
    if "bboxes" in pred and "bboxes" in gt:
        rows["box_iou"] = box_iou(pred["bboxes"], gt["bboxes"].to(masks.device))
    others = _next_targets(ann_ids) if rotate else {}
    if others:
        rows["rotated"] = _pixels(masks & targets[[others.get(k, k) for k in range(len(ann_ids))]])
    # float64 holds every pixel count, and a float32 IoU as it is.
    values = torch.stack([row.double() for row in rows.values()]).T.tolist()
    counted = [dict(zip(rows, value, strict=True)) for value in values]
    expressions = [
        ExpressionCounts(
            intersection=int(value["intersection"]),
            predicted=int(value["predicted"]),
            target=int(value["target"]),
            has_target=bool(ids),
            rejected=bool(value.get("rejected", False)),
            box_iou=None if value.get("ignored") else value.get("box_iou"),
        )
        for ids, value in zip(ann_ids, counted, strict=True)
    ]
    rotated = sum(int(counted[k]["rotated"]) for k in others)
    areas = sum(expressions[k].predicted + expressions[other].target for k, other in others.items())
    return ImageCounts(
        dataset=sample["dataset"],
        split=sample["split"],
        protocol=sample["protocol"],
        objects=len({ids for ids in ann_ids if ids}),
        expressions=expressions,
        rotated_intersection=rotated,
        rotated_union=areas - rotated,
    )


def _pixels(masks: Tensor) -> Tensor:
    return masks.sum(dim=(1, 2))


def _next_targets(ann_ids: Sequence[tuple[int, ...]]) -> dict[int, int]:
    """Index of each expression with a target -> index of one about the next target.

    Empty where the image has fewer than two targets.
    """
    targets = list(dict.fromkeys(ids for ids in ann_ids if ids))
    if len(targets) < 2:
        return {}
    first = {target: list(ann_ids).index(target) for target in targets}
    following = dict(zip(targets, [*targets[1:], targets[0]], strict=True))
    return {k: first[following[ids]] for k, ids in enumerate(ann_ids) if ids}
