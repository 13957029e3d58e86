"""Time against the number of expressions, beside what FLOPs predict."""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import LogLocator

from mmseg_mllm.errors import ConfigError


def slopes(result: dict) -> tuple[float, float]:
    """Seconds that a further expression costs: fitted to the times, and predicted.

    The prediction takes the time of one expression, and the FLOPs of further ones at its FLOPs per second.

    Args:
        result: JSON of ``benchmark.py growth``.

    Raises:
        ConfigError: it is that of another mode.
    """
    counts, seconds, flops = _points(result)
    per_expression = (flops[-1] - flops[0]) / (counts[-1] - counts[0])
    return float(np.polyfit(counts, seconds, deg=1)[0]), float(per_expression * seconds[0] / flops[0])


def plot_growth(result: dict, file: str | Path) -> None:
    """Draw the times with their spread, and the prediction as a line."""
    counts, seconds, flops = _points(result)
    measured, predicted = slopes(result)
    spread = [
        np.abs([way["seconds"][end] for way in result["ways"].values()] - seconds) for end in ("min", "max")
    ]
    figure, axes = plt.subplots(figsize=(7, 4.2), layout="constrained")
    axes.plot(
        counts,
        seconds[0] * flops / flops[0],
        color="tab:gray",
        label=f"predicted from FLOPs: {predicted:.3g} s for a further expression",
    )
    axes.errorbar(
        counts,
        seconds,
        yerr=spread,
        fmt="o",
        capsize=3,
        color="tab:blue",
        label=f"measured, median and range: {measured:.3g} s",
    )
    axes.plot(
        counts,
        seconds[0] * counts,
        color="tab:orange",
        linestyle="--",
        label=f"a full run for each: {seconds[0]:.3g} s",
    )
    axes.set_xlabel(f"expressions asked about one image (K)\n{_deviation(counts, seconds, flops)}")
    axes.set_ylabel("seconds")
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xticks(counts, [f"{count:g}" for count in counts])
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.minorticks_off()
    axes.set_title(f"{Path(result['config']).stem}, {result['dtype']}, {result['device']}", fontsize=10)
    axes.grid(alpha=0.3)
    axes.legend(loc="upper left", fontsize=9)
    figure.savefig(file, dpi=130)
    plt.close(figure)


def _deviation(counts: np.ndarray, seconds: np.ndarray, flops: np.ndarray) -> str:
    """How far the last time is from what FLOPs predict, and what that means."""
    share = seconds[-1] / (seconds[0] * flops[-1] / flops[0]) - 1
    rate = flops[-1] / seconds[-1] / (flops[0] / seconds[0])
    return (
        f"K = {counts[-1]:g} takes {abs(share):.0%} {'more' if share > 0 else 'less'} than predicted: "
        f"its work runs at {rate:.2f} times the FLOP/s of K = 1"
    )


def _points(result: dict) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Expressions, median seconds, FLOPs of each way."""
    if result.get("mode") != "growth" or len(result.get("ways", {})) < 2:
        raise ConfigError("a JSON of `benchmark.py growth` with --expressions 2 or more is wanted")
    ways = result["ways"].values()
    counts = np.array([float(name.removeprefix("K = ")) for name in result["ways"]])
    return (
        counts,
        np.array([way["seconds"]["median"] for way in ways]),
        np.array([float(way["flops"]) for way in ways]),
    )
