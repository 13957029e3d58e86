from types import SimpleNamespace

import pytest
from helpers.tiny_model import tiny_config
from mmengine.model import MMDistributedDataParallel
from mmseg.registry import HOOKS, MODELS

import mmseg_mllm  # noqa: F401


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_test_has_no_adapters(wrapped):
    model = MODELS.build(tiny_config(lora=dict(r=2)))
    runner = SimpleNamespace(model=model)
    if wrapped:  # as mmengine does, without processes
        runner.model = MMDistributedDataParallel.__new__(MMDistributedDataParallel)
        object.__setattr__(runner.model, "_modules", {"module": model})
    assert any("lora" in name for name in model.state_dict())
    HOOKS.build(dict(type="MergeAdaptersHook")).before_test(runner)
    assert not any("lora" in name or "token_adapter" in name for name in model.state_dict())
