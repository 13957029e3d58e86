import sys

import mmengine.optim.scheduler  # noqa: F401, registers the schedulers
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import PARAM_SCHEDULERS

from mmseg_mllm.engine.config import check_vis_backends, fit_effective_batch, load_config, resume
from mmseg_mllm.errors import ConfigError


def plan(*, effective, most):
    return Config(
        dict(
            effective_batch_size=effective,
            train_dataloader=dict(batch_size=most),
            optim_wrapper=dict(),
            train_cfg=dict(max_iters=100, val_interval=10),
            default_hooks=dict(checkpoint=dict(interval=20)),
            param_scheduler=[
                dict(type="LinearLR", by_epoch=False, start_factor=0.1, begin=0, end=5),
                dict(type="CosineAnnealingLR", by_epoch=False, eta_min=0.01, begin=5, end=100, T_max=95),
            ],
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
    assert config.train_cfg.max_iters == 100 * rounds
    assert config.train_cfg.val_interval == 10 * rounds
    assert config.default_hooks.checkpoint.interval == 20 * rounds
    assert [s["end"] for s in config.param_scheduler] == [5 * rounds, 100 * rounds]


def rates(config, *, rounds):
    """Learning rate of each step of the optimiser, which takes one in ``rounds`` iterations."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    schedulers = [PARAM_SCHEDULERS.build(dict(s, optimizer=optimizer)) for s in config.param_scheduler]
    found = []
    for iteration in range(config.train_cfg.max_iters):
        if iteration % rounds == 0:
            found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        for scheduler in schedulers:
            scheduler.step()
    return found


@pytest.mark.parametrize("processes", [1, 2, 4])
def test_learning_rate_falls_over_the_whole_run(processes):
    """In steps of the optimiser it is that of the plan, however many iterations make up a step."""
    config = plan(effective=32, most=8)
    fit_effective_batch(config, processes=processes)
    found = rates(config, rounds=4 // processes)
    assert found[0] == pytest.approx(0.1)
    assert sorted(found[:5]) == found[:5]
    cosine = 0.01 + 0.99 * (1 + torch.cos(torch.pi * torch.arange(95) / 95)) / 2
    assert found[5:] == pytest.approx(cosine.tolist(), abs=1e-6)


def test_effective_batch_that_cant_be_shared():
    with pytest.raises(ConfigError, match="effective_batch_size=7 can't be shared evenly by 2 processes"):
        fit_effective_batch(plan(effective=7, most=8), processes=2)


def test_no_effective_batch_leaves_all_as_it_is():
    config = plan(effective=None, most=8)
    fit_effective_batch(config, processes=3)
    assert config.train_dataloader.batch_size == 8


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


def test_resuming_goes_before_what_a_run_began_with(tmp_path):
    config = Config(dict(work_dir=str(tmp_path), load_from="begun_with.pth"))
    resume(config, None)
    assert (config.resume, config.load_from) == (False, "begun_with.pth")
    (tmp_path / "last_checkpoint").write_text("iter_2.pth")
    resume(config, None)
    assert (config.resume, config.load_from) == (True, None)
    resume(config, "given.pth")
    assert (config.resume, config.load_from) == (True, "given.pth")
