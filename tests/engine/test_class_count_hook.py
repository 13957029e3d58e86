from types import SimpleNamespace

import pytest
from mmengine.config import Config
from mmseg.registry import HOOKS, MODELS

import mmseg_mllm  # noqa: F401
from mmseg_mllm.engine.hooks import ClassCountHook
from mmseg_mllm.engine.runner import QuietRunner
from mmseg_mllm.errors import ConfigError


def runner(classes, *, decode=3, auxiliary=3):
    heads = [dict(type="FCNHead", in_channels=8, channels=4, num_classes=n) for n in (decode, auxiliary)]
    model = MODELS.build(
        dict(
            type="EncoderDecoder",
            backbone=dict(type="ResNet", depth=18, base_channels=1, stem_channels=1),
            decode_head=heads[0],
            auxiliary_head=heads[1],
        )
    )
    loader = SimpleNamespace(dataset=SimpleNamespace(metainfo=dict(classes=classes) if classes else {}))
    return SimpleNamespace(
        model=model, train_dataloader=loader, val_dataloader=loader, test_dataloader=loader
    )


@pytest.mark.parametrize("when", ["before_train", "before_val", "before_test"])
@pytest.mark.parametrize(
    ("heads", "named"), [(dict(decode=2), r"decode_head.*=2"), (dict(auxiliary=19), r"auxiliary_head.*=19")]
)
def test_another_number_of_classes(when, heads, named):
    hook = HOOKS.build(dict(type="ClassCountHook"))
    with pytest.raises(ConfigError, match=rf"{named}.*has 3 classes: set it to 3"):
        getattr(hook, when)(runner("abc", **heads))


@pytest.mark.parametrize(
    "fitting", [runner("abc"), runner(None), runner("abc", decode=1)], ids=["equal", "unnamed", "single"]
)
def test_what_is_let_pass(fitting):
    ClassCountHook().before_train(fitting)


def test_the_runner_of_the_tools_has_it(tmp_path):
    model = dict(type="EncoderDecoder", backbone=dict(type="ResNet", depth=18, base_channels=1))
    model["decode_head"] = dict(type="FCNHead", in_channels=8, channels=4, num_classes=3)
    config = Config(dict(model=model, work_dir=str(tmp_path), default_scope="mmseg"))
    assert any(isinstance(hook, ClassCountHook) for hook in QuietRunner.from_cfg(config).hooks)
