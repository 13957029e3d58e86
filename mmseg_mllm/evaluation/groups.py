"""Figures of a dataset split by what expressions speak of (category, size) or by the words that they need."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from mmseg_mllm.datasets.json_file import read_json
from mmseg_mllm.errors import DataError
from mmseg_mllm.evaluation.counts import ExpressionCounts, ImageCounts
from mmseg_mllm.evaluation.figures import gres_figures, reasoning_figures, res_figures
from mmseg_mllm.evaluation.kinds import TITLES
from mmseg_mllm.evaluation.rejection import LISA
from mmseg_mllm.evaluation.sums import Sums
from mmseg_mllm.tables.table import ResultTable, Value

SIZES = {"small (< 32² px)": 32**2, "medium (< 96² px)": 96**2, "large": float("inf")}
"""COCO's sizes of objects, and the pixels that each stays below."""

SEVERAL, NO_TARGET = "several categories", "no target"
MORE_THAN_COLOUR = "more than colour"
RES_FIGURES = ("cIoU", "mIoU", "Pr@0.5")
GRES_FIGURES = ("gIoU", "cIoU", "N-acc", "T-acc", "Pr@0.5")
REASONING_FIGURES = ("gIoU", "cIoU", "Pr@0.5")


@dataclass(frozen=True, kw_only=True)
class GroupedImage:
    """One image with the group of each of its expressions.

    Attributes:
        counts: K expressions.
        groups: K tuples of names; an expression may be in several groups.
    """

    counts: ImageCounts
    groups: list[tuple[str, ...]]


def size_groups(image: ImageCounts) -> list[tuple[str, ...]]:
    """Group of each expression by the pixels of its annotated mask at the image's original size."""
    return [(_size(expression) if expression.has_target else NO_TARGET,) for expression in image.expressions]


def category_groups(sample: dict, names: Mapping[int, str]) -> list[tuple[str, ...]]:
    """Group of each expression by the COCO category of its annotations.

    Args:
        sample: With ``ann_ids`` and ``annotations`` of :class:`RefCOCODataset`.
        names: Category id -> name.

    Raises:
        DataError: an annotation's category has no name.
    """
    return [(_category(sample, ids, names),) for ids in sample["ann_ids"]]


def need_groups(sample: dict, needs: Mapping[str, Sequence[str]]) -> list[tuple[str, ...]]:
    """Groups of each expression: every kind of word that tells its target, of the smallest set that does.

    Expressions that need more than the colour are also in the group ``MORE_THAN_COLOUR``.

    Args:
        sample: With ``expressions`` of :class:`RefCOCODataset`.
        needs: See :func:`read_needs`.

    Raises:
        DataError: an expression is not among the needs.
    """
    return [_needs(sample, expression, needs) for expression in sample["expressions"]]


def category_names(ann_file: str | Path) -> dict[int, str]:
    """Names of the categories of a COCO ``instances.json``, by id.

    Raises:
        DataError: the file has none, or can't be read.
    """
    try:
        return {category["id"]: category["name"] for category in read_json(ann_file)["categories"]}
    except (KeyError, TypeError) as error:
        raise DataError(f"{ann_file}: no names of categories to group by ({error!r})") from None


def group_tables(images: Iterable[GroupedImage], *, by: str, rejection: str) -> list[ResultTable]:
    """One table for each dataset split: its groups, and all of it in the last row.

    Args:
        images: Of any number of dataset splits, each asked in one way.
        by: What the groups are, a key of ``kinds.TITLES``.
        rejection: As in :class:`RESMetric`.
    """
    splits: dict[tuple[str, str], list[GroupedImage]] = {}
    for image in images:
        splits.setdefault((image.counts.dataset, image.counts.split), []).append(image)
    return [_table(own, by=by, rejection=rejection) for own in splits.values()]


def _table(images: Sequence[GroupedImage], *, by: str, rejection: str) -> ResultTable:
    first = images[0].counts
    every = _sum(image.counts for image in images)
    protocol = first.protocol
    if rejection == LISA:
        task, names, figures_of = "ReasonSeg", REASONING_FIGURES, reasoning_figures
    elif every.without_target:
        task, names = "GRES", GRES_FIGURES
        figures_of = partial(gres_figures, strict=rejection == "strict")
    else:
        task, names, figures_of = "RES", RES_FIGURES, res_figures
    if task != "RES":
        protocol += f", rejection: {rejection}"
    sizes = Counter(group for image in images for groups in image.groups for group in groups)

    def row(group: str, sums: Sums) -> dict[str, Value]:
        figures = figures_of(sums)
        counts = dict(images=sums.images, expressions=sums.expressions)
        return {by: group} | counts | {name: figures[name] for name in names}

    return ResultTable(
        title=f"{first.dataset} {first.split} by {TITLES[by]} in percent, protocol: {protocol}",
        names=[by],
        rows=[row(group, _sum(_only(images, group))) for group in sorted(sizes, key=partial(_rank, sizes))],
        total=row("all", every),
        shared=dict(
            task=task,
            protocol=protocol,
            dataset=first.dataset,
            split=first.split,
        ),
    )


def _sum(images: Iterable[ImageCounts]) -> Sums:
    return sum(map(Sums.of, images), Sums())


def _only(images: Sequence[GroupedImage], group: str) -> list[ImageCounts]:
    """The images that have expressions of a group, with these alone."""
    kept = []
    for image in images:
        pairs = zip(image.counts.expressions, image.groups, strict=True)
        own = [expression for expression, names in pairs if group in names]
        if own:
            kept.append(replace(image.counts, expressions=own))
    return kept


def _rank(sizes: Counter[str], group: str) -> tuple:
    """Sizes from small to large, categories by their number of expressions, then what is of no one group."""
    order = [*SIZES, "", SEVERAL, NO_TARGET]
    return order.index(group if group in order else ""), -sizes[group], group


def _needs(sample: dict, expression: dict, needs: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    need = needs.get(str(expression["sent_id"]))
    if need is None:
        raise DataError(
            f"{sample['dataset']} image {sample['img_id']}: sentence {expression['sent_id']} is not in the "
            "dataset's needs.json; the two don't belong together"
        )
    more = expression["ann_ids"] and set(need) != {"colour"}
    return (*need, MORE_THAN_COLOUR) if more else tuple(need)


def _size(expression: ExpressionCounts) -> str:
    return next(name for name, limit in SIZES.items() if expression.target < limit)


def _category(sample: dict, ann_ids: Sequence[int], names: Mapping[int, str]) -> str:
    ids = {sample["annotations"][ann_id]["category_id"] for ann_id in ann_ids}
    unknown = ids - names.keys()
    if unknown:
        raise DataError(
            f"{sample['dataset']} image {sample['img_id']}: an annotation is of category "
            f"{unknown.pop()}, which the annotation file does not name"
        )
    if len(ids) > 1:
        return SEVERAL
    return names[ids.pop()] if ids else NO_TARGET
