"""Measurements as tables and as JSON."""

import platform
from dataclasses import asdict
from pathlib import Path

import torch
from rich.table import Table

from mmseg_mllm.analysis.benchmarks.measure import Measured, Measurements, Spread
from mmseg_mllm.analysis.benchmarks.way import Benchmark, Setting, Way
from mmseg_mllm.analysis.complexity import BRANCH_TOKENS, PREFIX_TOKENS


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


def tables(result: dict) -> list[Table]:
    """What :func:`as_json` gave, for reading."""
    return [_way_table(result), *([_compared_table(result)] if result["compared"] else [])]


def notes(result: dict) -> list[str]:
    """What the tables leave open, a sentence each."""
    rate = result["matmul_flops_per_second"]
    lines = [
        f"{result['clock'].capitalize()}, median (min to max) of {result['repeats']} after warm-up, the ways "
        "in turn. Ratio: how many times as fast as the plain way.",
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
    lines += figure_lines(result["figures"])
    if not result["finite"]:
        lines.append("WARNING: some results are not finite.")
    return lines


def figure_lines(figures: dict[str, float]) -> list[str]:
    """A line for each number."""
    return [
        f"{name}: {value:,}" if isinstance(value, int) else f"{name}: {value:,.1f}"
        for name, value in figures.items()
    ]


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


def _way_table(result: dict) -> Table:
    several = f"K={result['expressions']} expressions each"
    asked = dict(growth=f"up to {several}", sentences="a dataset's expressions").get(result["mode"], several)
    title = (
        f"{result['mode']} of {Path(result['config']).stem}: B={result['images']} images, {asked}, "
        f"{result['dtype']}, {result['device']}, {result['threads']} threads, torch {result['torch']}"
    )
    if result["mode"] == "pipeline":
        title = f"pipeline of {Path(result['config']).stem}, {result['device']}, one core"
    table = Table(title=title, title_justify="left")
    table.add_column("way", overflow="fold")
    for column in (
        "ms",
        "min to max",
        "ms / image",
        "images / s",
        "ms / expr.",
        "expr. / s",
        "GFLOPs",
        "of matmul",
        "peak MiB",
    ):
        table.add_column(column, justify="right")
    for name, way in result["ways"].items():
        times, asked = way["seconds"], "seconds_per_expression" in way
        table.add_row(
            name,
            _ms(times["median"]),
            f"{_ms(times['min'])} to {_ms(times['max'])}",
            _ms(way["seconds_per_image"]),
            f"{way['images_per_second']:,.2f}",
            _ms(way["seconds_per_expression"]) if asked else "",
            f"{way['expressions_per_second']:,.2f}" if asked else "",
            f"{way['flops'] / 1e9:,.1f}" if "flops" in way else "",
            f"{way['share_of_matmul_rate']:.0%}" if "flops" in way else "",
            f"{way['peak_memory_bytes'] / 2**20:,.0f}",
        )
    return table


def _compared_table(result: dict) -> Table:
    table = Table(title="Side by side", title_justify="left")
    for column in ("way", "plain way"):
        table.add_column(column, overflow="fold")
    what = result["compared"][0]["compared"]
    for column in ("ratio", "min to max", f"largest difference of {what}"):
        table.add_column(column, justify="right")
    for pair in result["compared"]:
        ratio, difference = pair["ratio"], pair["largest_difference"]
        cause = f" ({pair['must_differ']})" if pair["must_differ"] else ""
        table.add_row(
            pair["way"],
            pair["plain"],
            f"{ratio['median']:.2f}",
            f"{ratio['min']:.2f} to {ratio['max']:.2f}",
            "" if difference is None else f"{difference:.1e}{cause}",
        )
    return table


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:,.2f}"
