import pickle
from types import SimpleNamespace

import numpy as np
from mmengine.logging import MessageHub
from PIL import Image

from mmseg_mllm.engine.hooks import LossCurveHook
from mmseg_mllm.engine.hooks import loss_curve_hook as module


def test_losses_of_all_iterations_are_drawn(tmp_path, monkeypatch, capsys):
    """Those before a checkpoint come with mmengine's hub."""
    drawn = {}
    real = module.draw_losses

    def spy(losses, path, *, last):
        drawn.update(losses)
        real(losses, path, last=last)

    monkeypatch.setattr(module, "draw_losses", spy)
    hub = MessageHub("before the checkpoint")
    for value in range(20):
        hub.update_scalar("train/loss", 20.0 - value)
        hub.update_scalar("train/lr", 1.0)
    resumed = MessageHub("after it")
    resumed.load_state_dict(pickle.loads(pickle.dumps(hub.state_dict())))
    resumed.update_scalar("train/loss", 0.0)
    LossCurveHook().after_train(SimpleNamespace(message_hub=resumed, work_dir=tmp_path, iter=21))
    assert list(drawn) == ["loss"]
    assert np.array_equal(drawn["loss"], np.arange(20, -1, -1))
    path = tmp_path / "loss_curve.png"
    assert capsys.readouterr().out == f"loss curve: {path}\n"
    assert len(np.unique(np.asarray(Image.open(path).convert("L")))) > 10


def test_a_run_without_losses_draws_nothing(tmp_path, capsys):
    LossCurveHook().after_train(
        SimpleNamespace(message_hub=MessageHub("of nothing"), work_dir=tmp_path, iter=0)
    )
    assert not list(tmp_path.iterdir())
    assert capsys.readouterr().out == ""
