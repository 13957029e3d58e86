import pytest
from mmengine.config import Config

from mmseg_mllm.evaluation import RESMetric
from mmseg_mllm.evaluation.configured import configured_metrics


@pytest.mark.parametrize("kind", ["RESMetric", "mmseg.RESMetric", RESMetric])
def test_arguments_of_the_config_are_kept(kind):
    config = Config(dict(test_evaluator=dict(type=kind, rejection="strict", rotate_expressions=True)))
    assert configured_metrics(config) == [dict(type=kind, rejection="strict", rotate_expressions=True)]
    (changed,) = configured_metrics(config, rejection="paper")
    assert (changed["rejection"], changed["rotate_expressions"]) == ("paper", True)
    assert config.test_evaluator.rejection == "strict"


def test_other_metrics_stay_and_the_metric_is_added():
    other = dict(type="IoUMetric", iou_metrics=["mIoU"])
    for given in (other, [other]):
        found = configured_metrics(Config(dict(test_evaluator=given)), rotate_expressions=True)
        assert found == [dict(type="RESMetric", rotate_expressions=True), other]


def test_no_evaluator_at_all():
    assert configured_metrics(Config(dict())) == [dict(type="RESMetric")]
