"""Figures of a file of predictions, whole and by groups of expressions."""

from collections.abc import Sequence

from mmengine.config import Config
from mmseg.registry import DATASETS, METRICS
from rich.progress import track

from mmseg_mllm.datasets import RefCOCODataset
from mmseg_mllm.engine.config import test_datasets
from mmseg_mllm.evaluation.configured import configured_metrics, is_res_metric
from mmseg_mllm.evaluation.counts import count_image
from mmseg_mllm.evaluation.groups import (
    GroupedImage,
    category_groups,
    category_names,
    need_groups,
    size_groups,
)
from mmseg_mllm.evaluation.needs import read_needs
from mmseg_mllm.evaluation.predictions import read_predictions
from mmseg_mllm.evaluation.res_metric import RESMetric
from mmseg_mllm.evaluation.saved import saved_samples
from mmseg_mllm.tables.console import plain_console


def score_predictions(
    config: Config,
    path: str,
    *,
    by: str | None,
    rejection: str | None = None,
    splits: Sequence[str] | None = None,
) -> tuple[RESMetric, list[GroupedImage]]:
    """The config's metric with the figures of a file, and the file's images with their groups.

    Args:
        config: With the test set that the file was made with.
        path: File of ``tools/test.py --out``.
        by: A key of ``kinds.TITLES``; None for no groups.
        rejection: Instead of the config's.
        splits: Instead of the config's.

    Raises:
        DataError: the file can't be read, or is of another test set.
    """
    metric = METRICS.build(next(filter(is_res_metric, configured_metrics(config, rejection=rejection))))
    file = read_predictions(path)
    datasets = annotations_only(config, splits=splits)
    names = {part.dataset_name: category_names(part.ann_file) for part in datasets if by == "category"}
    needs = {part.dataset_name: read_needs(part.ann_file) for part in datasets if by == "need"}
    groups_of = {
        "category": lambda sample, counts: category_groups(sample, names[sample["dataset"]]),
        "size": lambda sample, counts: size_groups(counts),
        "need": lambda sample, counts: need_groups(sample, needs[sample["dataset"]]),
    }
    total = sum(map(len, datasets))
    bar = plain_console(stderr=True)
    shown = dict(console=bar, transient=True, disable=not bar.is_terminal)
    grouped = []
    for sample in track(saved_samples(datasets, file), "images", total=total, **shown):
        counts = count_image(sample, rotate=metric.rotate_expressions)
        metric.add(counts)
        if by is not None:
            grouped.append(GroupedImage(counts=counts, groups=groups_of[by](sample, counts)))
    metric.evaluate(total)
    return metric, grouped


def annotations_only(config: Config, *, splits: Sequence[str] | None) -> list[RefCOCODataset]:
    """The test sets of a config, without what they do to an image."""
    parts = [dict(part, pipeline=[]) for part in test_datasets(config)]
    return [DATASETS.build(dict(part, split=splits) if splits else part) for part in parts]
