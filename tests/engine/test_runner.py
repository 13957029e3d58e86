from types import SimpleNamespace

import pytest
from mmengine.config import Config

from mmseg_mllm.engine.runner import QuietRunner
from mmseg_mllm.errors import ConfigError


def saved_with(**optim_wrapper):
    return dict(
        meta=dict(cfg=Config(dict(optim_wrapper=dict(type="OptimWrapper", **optim_wrapper))).pretty_text)
    )


@pytest.mark.parametrize(
    ("before", "now", "fits"),
    [
        (dict(), dict(), True),
        (dict(accumulative_counts=4), dict(), False),
        (dict(), dict(accumulative_counts=2), False),
    ],
)
def test_a_stretched_schedule_goes_on_only_as_it_began(before, now, fits):
    runner = SimpleNamespace(cfg=Config(dict(optim_wrapper=now)))
    if fits:
        QuietRunner._check_same_stretch(runner, "last.pth", saved_with(**before))
        return
    with pytest.raises(ConfigError, match=r"last\.pth: begun with"):
        QuietRunner._check_same_stretch(runner, "last.pth", saved_with(**before))
