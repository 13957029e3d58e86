"""Measurements as tables and as JSON."""

import platform
from dataclasses import asdict
from pathlib import Path

import torch

from mmseg_mllm.analysis.benchmarks.measure import Measured, Measurements, Spread
from mmseg_mllm.analysis.benchmarks.way import Benchmark, Setting, Way
from mmseg_mllm.analysis.complexity import BRANCH_TOKENS, PREFIX_TOKENS
from mmseg_mllm.tables.table import ResultTable


def as_json(
    benchmark: Benchmark, measured: Measurements, setting: Setting, *, mode: str, config: str
) -> dict:
    """All that was measured, and at what; times in seconds, memory in bytes."""
    return dict(
        mode=mode,
        config=config,
        device=device_name(setting.device),
        torch=torch.__version__,
        threads=torch.get_num_threads(),
        dtype=setting.dtype,
        images=setting.images,
        expressions=setting.expressions,
        repeats=setting.repeats,
        clock="processor time" if benchmark.cpu_time else "wall time",
        matmul_flops_per_second=measured.matmul_rate and asdict(measured.matmul_rate),
        memory=measured.memory,
        finite=measured.finite,
        ways={
            name: _way_json(way, measured.ways[name], measured.matmul_rate)
            for name, way in benchmark.ways.items()
        },
        compared=[
            dict(
                way=c.pair.way,
                plain=c.pair.plain,
                ratio=asdict(c.ratio),
                compared=benchmark.result,
                largest_difference=c.difference,
                must_differ=c.pair.differ or None,
            )
            for c in measured.compared
        ],
        figures=benchmark.figures,
    )


def tables(result: dict) -> list[ResultTable]:
    """What :func:`as_json` gave, for reading."""
    found = [_way_table(result)]
    if result["compared"]:
        found.append(_compared_table(result))
    if result["figures"]:
        found.append(figure_table("Figures", result["figures"]))
    return found


def figure_table(title: str, figures: dict[str, float]) -> ResultTable:
    """A row for each number."""
    rows = [dict(figure=name, value=value) for name, value in figures.items()]
    return ResultTable(title=title, names=["figure"], rows=rows)


def _notes(result: dict) -> list[str]:
    """What the tables leave open, a sentence each."""
    rate = result["matmul_flops_per_second"]
    lines = [
        f"{result['clock'].capitalize()}, median of {result['repeats']} after warm-up, the ways in turn.",
        f"Memory: {result['memory']}.",
    ]
    if rate is not None:
        lines.append(
            f"Matrix product in {result['dtype']}: {rate['median'] / 1e9:,.1f} GFLOP/s "
            f"({rate['min'] / 1e9:,.1f} to {rate['max'] / 1e9:,.1f}); a way's share is of the fastest, "
            "in its fastest run."
        )
        lines.append(
            f"Random weights; {PREFIX_TOKENS} random text tokens besides the image's, "
            + ("a word a token." if result["mode"] == "sentences" else f"{BRANCH_TOKENS} per expression.")
        )
    if not result["finite"]:
        lines.append("WARNING: some results are not finite.")
    return lines


def device_name(device: torch.device) -> str:
    """What the maker calls it."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _way_json(way: Way, measured: Measured, matmul: Spread | None) -> dict:
    times = Spread.of(measured.seconds)
    result = dict(
        seconds=dict(asdict(times), all=measured.seconds),
        seconds_per_image=times.median / way.images,
        images_per_second=way.images / times.median,
    )
    if way.expressions:
        result["seconds_per_expression"] = times.median / way.expressions
        result["expressions_per_second"] = way.expressions / times.median
    if matmul is not None:
        result["flops"] = measured.flops
        # The best of both: the median would tell who else used the machine.
        result["share_of_matmul_rate"] = measured.flops / times.min / matmul.max
    return dict(result, peak_memory_bytes=measured.peak_bytes)


def _way_table(result: dict) -> ResultTable:
    several = f"K={result['expressions']} expressions each"
    asked = dict(growth=f"up to {several}", sentences="a dataset's expressions").get(result["mode"], several)
    title = (
        f"{result['mode']} of {Path(result['config']).stem}: B={result['images']} images, {asked}, "
        f"{result['dtype']}, {result['device']}, {result['threads']} threads, torch {result['torch']}"
    )
    if result["mode"] == "pipeline":
        title = f"pipeline of {Path(result['config']).stem}, {result['device']}, one core"
    return ResultTable(
        title=title,
        names=["way"],
        rows=[_way_row(name, way) for name, way in result["ways"].items()],
        caption="\n".join(_notes(result)),
    )


def _way_row(name: str, way: dict) -> dict:
    """None where the way asks nothing, or has no FLOPs to count."""
    return {
        "way": name,
        "ms": way["seconds"]["median"] * 1e3,
        "ms, min": way["seconds"]["min"] * 1e3,
        "ms, max": way["seconds"]["max"] * 1e3,
        "ms / image": way["seconds_per_image"] * 1e3,
        "images / s": way["images_per_second"],
        "ms / expr.": _scaled(way.get("seconds_per_expression"), 1e3),
        "expr. / s": way.get("expressions_per_second"),
        "GFLOPs": _scaled(way.get("flops"), 1e-9),
        "% of matmul": _scaled(way.get("share_of_matmul_rate"), 100),
        "peak MiB": way["peak_memory_bytes"] / 2**20,
    }


def _compared_table(result: dict) -> ResultTable:
    what = result["compared"][0]["compared"]
    rows = []
    for pair in result["compared"]:
        difference = pair["largest_difference"]
        mark = " *" if pair["must_differ"] else ""
        rows.append(
            {
                "way": pair["way"],
                "plain way": pair["plain"],
                "ratio": pair["ratio"]["median"],
                "ratio, min": pair["ratio"]["min"],
                "ratio, max": pair["ratio"]["max"],
                "difference": None if difference is None else f"{difference:.1e}{mark}",
            }
        )
    causes = dict.fromkeys(filter(None, (pair["must_differ"] for pair in result["compared"])))
    return ResultTable(
        title="Side by side",
        names=["way", "plain way"],
        rows=rows,
        caption=f"Ratio: how many times as fast as the plain way. Difference: the largest of {what}."
        + "".join(f"\n*: {cause}" for cause in causes),
    )


def _scaled(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor
