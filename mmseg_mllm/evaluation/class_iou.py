"""mmseg's IoUMetric with its figures per class at hand, and their table."""

import numpy as np
from mmseg.evaluation import IoUMetric
from mmseg.registry import METRICS

from mmseg_mllm.tables.table import ResultTable


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

    def table(self) -> ResultTable:
        """A row for each class, and below their means."""
        classes = self.dataset_meta["classes"]
        return ResultTable(
            title=f"aAcc {self.summary['aAcc']:.2f}; all in percent",
            names=["class"],
            rows=[
                {"class": name} | {key: float(values[k]) for key, values in self.per_class.items()}
                for k, name in enumerate(classes)
            ],
            total={"class": "mean"} | {key: float(np.nanmean(v)) for key, v in self.per_class.items()},
        )
