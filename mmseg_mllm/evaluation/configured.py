"""The metrics that a config and a command line ask for."""

from collections.abc import Sequence

from mmengine.config import Config
from mmseg.registry import METRICS

from mmseg_mllm.evaluation.res_metric import RESMetric


def configured_metrics(
    config: Config, *, rejection: str | None = None, rotate_expressions: bool = False
) -> list[dict]:
    """The metrics of ``test_evaluator``, among them ``RESMetric`` whether it is named there or not.

    Args:
        config: A whole config.
        rejection: For ``RESMetric`` instead of the config's; None keeps that.
        rotate_expressions: Switch it on in ``RESMetric``; False keeps the config's.
    """
    given = config.get("test_evaluator") or []
    metrics = [dict(metric) for metric in (given if isinstance(given, Sequence) else [given])]
    if not any(map(is_res_metric, metrics)):
        metrics.insert(0, dict(type="RESMetric"))
    for metric in filter(is_res_metric, metrics):
        if rejection is not None:
            metric["rejection"] = rejection
        if rotate_expressions:
            metric["rotate_expressions"] = True
    return metrics


def is_res_metric(metric: dict) -> bool:
    """Whether a metric's config is of ``RESMetric``, by its name or by the class itself."""
    kind = metric["type"]
    return (METRICS.get(kind) if isinstance(kind, str) else kind) is RESMetric
