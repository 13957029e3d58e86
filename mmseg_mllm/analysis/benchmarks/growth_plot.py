"""Time against the number of expressions, beside what FLOPs predict."""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

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
    axes.set_xlabel("expressions asked about one image (K)")
    axes.set_ylabel("seconds")
    axes.set_xlim(0, counts[-1] * 1.03)
    axes.set_ylim(0, max(seconds.max(), (seconds[0] * flops / flops[0]).max()) * 1.35)
    axes.set_title(f"{Path(result['config']).stem}, {result['dtype']}, {result['device']}", fontsize=10)
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right", fontsize=9)
    figure.savefig(file, dpi=130)
    plt.close(figure)


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
