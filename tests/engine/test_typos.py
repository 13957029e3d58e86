import pytest
from mmengine.config import Config
from mmseg.registry import MODELS, TRANSFORMS

from mmseg_mllm.engine.cli import run_tool
from mmseg_mllm.engine.typos import check_keys


@pytest.fixture
def says(capsys):
    """What a tool says that builds a config with this mistake."""

    def run(build) -> str:
        with pytest.raises(SystemExit) as exit_info:
            run_tool(build)
        assert exit_info.value.code == 1
        return capsys.readouterr().err.removeprefix("error: ").strip()

    return run


HEAD = dict(type="DSFFHead", in_channels=(8, 8), num_classes=3, norm_cfg=dict(type="BN"))


@pytest.mark.parametrize(
    ("registry", "config", "message"),
    [
        (
            MODELS,
            dict(HEAD, chanels=8),
            "DSFFHead has no argument 'chanels'; did you mean 'channels'?",
        ),
        (  # of the base class
            MODELS,
            dict(HEAD, channels=8, align_corner=True),
            "DSFFHead has no argument 'align_corner'; did you mean 'align_corners'?",
        ),
        (MODELS, dict(HEAD, channels=8, xyzzy=1), "DSFFHead has no argument 'xyzzy'"),
        (TRANSFORMS, dict(type="ResizeToInput"), "ResizeToInput needs 'size', not given in the config"),
        (
            TRANSFORMS,
            dict(type="ResizeToInputs", size=8),
            "type='ResizeToInputs': no transform has this name; did you mean 'ResizeToInput'?",
        ),
    ],
)
def test_a_misspelt_argument_or_type(says, registry, config, message):
    assert says(lambda: registry.build(config)).split("; a part")[0] == message


def test_an_error_of_a_constructor_itself_is_no_typo():
    @MODELS.register_module(name="RaisesInside", force=True)
    class RaisesInside:
        def __init__(self):
            self.prepare()

        def prepare(self):
            dict().update(1, 2)

    with pytest.raises(TypeError, match="update expected"):
        run_tool(lambda: MODELS.build(dict(type="RaisesInside")))
    MODELS.module_dict.pop("RaisesInside")


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            dict(train_dataloder=dict()),
            "is read by nothing; did you mean 'train_dataloader'",
        ),
        (dict(effective_batchsize=4), "did you mean 'effective_batch_size'"),
        (
            dict(train_cfg=dict(type="IterBasedTrainLoop", max_iter=5)),
            "train_cfg: IterBasedTrainLoop has no setting 'max_iter'; did you mean 'max_iters'",
        ),
        (
            dict(test_cfg=dict(type="TestLoop", fp61=True)),
            "TestLoop has no setting 'fp61'; did",
        ),
    ],
)
def test_a_misspelt_key(says, config, message):
    assert message in says(lambda: check_keys(Config(config)))


def test_variables_of_a_config_are_its_own():
    own = dict(img_scale=(4, 4), crop_size=8, data_root="d", train_pipeline=[], tta_cfg=dict(), models=dict())
    check_keys(Config(dict(own, train_cfg=dict(type="TrainLoopOfSomebody", max_iter=5))))
