"""The losses of a training as a picture."""

from pathlib import Path

import numpy as np
from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmseg.registry import HOOKS

WINDOW = 50
"""Most iterations that a point of the smooth line is the mean of."""


@HOOKS.register_module()
class LossCurveHook(Hook):
    """Draw the losses of all iterations into ``loss_curve.png`` of the work dir when training ends.

    They are those of mmengine's message hub, which checkpoints hold: a resumed run draws the whole curve.

    """

    priority = "LOWEST"  # after the bar has ended

    @master_only
    def after_train(self, runner: Runner) -> None:
        losses = {}
        for name, history in runner.message_hub.log_scalars.items():
            key = name.removeprefix("train/")
            if name.startswith("train/") and "loss" in key and len(history.data[0]):
                losses[key] = history.data[0]
        if losses:
            path = Path(runner.work_dir) / "loss_curve.png"
            draw_losses(losses, path, last=runner.iter)
            print(f"loss curve: {path}")


def draw_losses(losses: dict[str, np.ndarray], path: Path, *, last: int) -> None:
    """One panel for all losses: each iteration pale, the running mean in full colour.

    Args:
        losses: Name -> (N,) values of the last N iterations.
        path: Of the PNG.
        last: Number of the last iteration.
    """
    # Imported late: most of its time is for who draws nothing.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    for name, values in losses.items():
        iterations = np.arange(last - len(values), last) + 1
        window = min(WINDOW, max(1, len(values) // 10))
        smooth = np.convolve(values, np.full(window, 1 / window), mode="valid")
        (line,) = axes.plot(iterations[window - 1 :], smooth, label=f"{name}: {smooth[-1]:.3g} at the end")
        axes.plot(iterations, values, color=line.get_color(), alpha=0.2, linewidth=0.8)
    lowest = min(values.min() for values in losses.values())
    axes.set(xlabel="iteration", ylabel="loss", ylim=(min(0, lowest), None))
    axes.grid(alpha=0.3)
    axes.legend(title=f"running mean of {window} iterations" if window > 1 else None)
    FigureCanvasAgg(figure).print_png(path)
