import sys

import pytest
from mmengine.config import Config

from mmseg_mllm.engine.config import check_vis_backends, fit_effective_batch, load_config, resume
from mmseg_mllm.errors import ConfigError


def plan(*, effective, most):
    return Config(
        dict(
            effective_batch_size=effective,
            train_dataloader=dict(batch_size=most),
            optim_wrapper=dict(),
            train_cfg=dict(max_iters=100, val_interval=10),
            param_scheduler=[dict(type="LinearLR", by_epoch=False, start_factor=0.1, begin=0, end=5)],
        )
    )


@pytest.mark.parametrize(
    ("effective", "most", "processes", "batch", "rounds"),
    [
        (32, 8, 4, 8, 1),
        (32, 8, 8, 4, 1),
        (32, 8, 2, 8, 2),
        (32, 8, 1, 8, 4),
        (12, 5, 1, 4, 3),
        (6, 8, 2, 3, 1),
    ],
)
def test_effective_batch_stays(effective, most, processes, batch, rounds):
    config = plan(effective=effective, most=most)
    fit_effective_batch(config, processes=processes)
    assert config.train_dataloader.batch_size == batch
    assert config.optim_wrapper.get("accumulative_counts", 1) == rounds
    assert batch * rounds * processes == effective
    wanted = plan(effective=effective, most=batch)
    if rounds > 1:
        wanted.optim_wrapper.accumulative_counts = rounds
    assert config.to_dict() == wanted.to_dict()


def test_effective_batch_that_cant_be_shared():
    with pytest.raises(ConfigError, match="effective_batch_size=7 can't be shared evenly by 2 processes"):
        fit_effective_batch(plan(effective=7, most=8), processes=2)


def test_no_effective_batch_leaves_all_as_it_is():
    config = plan(effective=None, most=8)
    fit_effective_batch(config, processes=3)
    assert config.train_dataloader.batch_size == 8


@pytest.mark.parametrize("size", [768, (384, 672), [384, 672]])
def test_pipelines_follow_the_models_size(size):
    config = load_config("configs/mllmseg/qwen3vl_2b_refcoco.py", {"model.backbone.image_size": size})
    datasets = [*config.train_dataloader.dataset.datasets, *config.test_dataloader.dataset.datasets]
    steps = [step for dataset in datasets for step in dataset.pipeline if step.type == "ResizeToInput"]
    assert len(steps) == len(datasets) > 3
    assert all(step.size == size for step in steps)


def test_data_root_moves_every_dataset():
    config = load_config("configs/mllmseg/internvl2_5_8b_refcoco.py", dict(data_root="elsewhere"))
    roots = [d.data_root for d in config.train_dataloader.dataset.datasets]
    roots += [d.data_root for d in config.test_dataloader.dataset.datasets]
    assert {*roots, config.val_dataloader.dataset.data_root} == {"elsewhere"}
    assert len(roots) == 6


def test_config_absent():
    with pytest.raises(ConfigError, match=r"nothing\.py: no such config file"):
        load_config("nothing.py")


@pytest.mark.parametrize(
    ("module", "advice"),
    [
        ("my_transforms.shear", "PYTHONPATH=FOLDER, the one that holds my_transforms"),
        ("mmpretrain.models", "mmpretrain"),
    ],
)
def test_module_of_custom_imports_absent(tmp_path, monkeypatch, module, advice):
    monkeypatch.setitem(sys.modules, module.split(".")[0], None)
    (tmp_path / "config.py").write_text(f"custom_imports = dict(imports=[{module!r}])")
    with pytest.raises(ConfigError) as error:
        load_config(str(tmp_path / "config.py"))
    assert advice in str(error.value)
    assert ("mmpretrain" in str(error.value)) == module.startswith("mmpretrain")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("model = dict(", "mine.py, line 2: '(' was never closed: model = dict("),
        ("x = y", "name 'y' is not defined"),
        ("x = _base_.pipelin", "no attribute 'pipelin'"),
        ("x = {{_base_.pipelin}}", "there is no 'pipelin'"),
    ],
)
def test_what_is_no_config_is_told(tmp_path, text, says):
    (tmp_path / "base.py").write_text("pipeline = []\n")
    mine = tmp_path / "mine.py"
    mine.write_text(f'_base_ = "base.py"\n{text}\n')
    with pytest.raises(ConfigError) as error:
        load_config(str(mine))
    assert str(mine) in str(error.value)
    assert says in str(error.value)


def test_no_workers_have_no_settings(tmp_path):
    path = tmp_path / "config.py"
    loader = dict(num_workers=4, persistent_workers=True, prefetch_factor=2)
    path.write_text(f"train_dataloader = dict({loader})\nval_dataloader = dict({loader})\n")
    config = load_config(str(path), {"train_dataloader.num_workers": 0})
    assert config.train_dataloader == dict(num_workers=0)
    assert config.val_dataloader == loader


def test_a_vis_backend_without_its_package_is_told(monkeypatch):
    config = Config(dict(visualizer=dict(type="Visualizer", vis_backends=[dict(type="WandbVisBackend")])))
    monkeypatch.setattr("mmseg_mllm.engine.config.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"WandbVisBackend needs .* pip install wandb"):
        check_vis_backends(config)
    check_vis_backends(Config(dict(visualizer=dict(type="Visualizer"))))
    check_vis_backends(Config(dict()))


def test_resuming_goes_before_what_a_run_began_with():
    config = Config(dict(load_from="begun_with.pth"))
    resume(config, None)
    assert (config.resume, config.load_from) == ("newest", "begun_with.pth")
    resume(config, "given.pth")
    assert (config.resume, config.load_from) == (True, "given.pth")
