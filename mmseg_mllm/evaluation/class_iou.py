"""mmseg's IoUMetric with its figures per class at hand, and their table."""

import numpy as np
from mmseg.evaluation import IoUMetric
from mmseg.registry import METRICS
from rich.table import Table
from rich.text import Text


@METRICS.register_module()
class ClassIoUMetric(IoUMetric):
    """mmseg's ``IoUMetric``, which tells its figures per class to the log alone.

    Attributes:
        per_class: Figures of the latest evaluation in percent, by name, one for each class; NaN where a class
            was neither there nor predicted.
        summary: What ``compute_metrics`` returned.
    """

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.per_class: dict[str, np.ndarray] = {}
        self.summary: dict[str, float] = {}

    def compute_metrics(self, results: list) -> dict[str, float]:
        """As in mmseg."""
        areas = [sum(parts) for parts in zip(*results, strict=True)]
        figures = self.total_area_to_metrics(*areas, self.metrics, self.nan_to_num, self.beta)
        self.per_class = {name: values * 100 for name, values in figures.items() if name != "aAcc"}
        self.summary = super().compute_metrics(results)
        return self.summary

    def table(self) -> Table:
        """A row for each class, and below their means."""
        # Short: a title wraps at the width of its table.
        result = Table(title=f"aAcc {self.summary['aAcc']:.2f}; all in percent", title_justify="left")
        result.add_column("class")
        for name in self.per_class:
            result.add_column(name, justify="right")
        for k, name in enumerate(self.dataset_meta["classes"]):
            result.add_row(Text(name), *(_shown(values[k]) for values in self.per_class.values()))
        result.add_section()
        result.add_row("mean", *(_shown(np.nanmean(values)) for values in self.per_class.values()))
        return result


def _shown(value: float) -> str:
    return "absent" if np.isnan(value) else f"{value:.2f}"
