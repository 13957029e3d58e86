"""Costs of a config's head beside MMSegmentation's: python tools/analysis_tools/compare_heads.py CONFIG..."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mmseg_mllm.engine.cli import add_cfg_options, check_config_path, check_out_file, made_by, run_tool
from mmseg_mllm.tables.output import add_table_flags, check_table_flags, write_tables
from mmseg_mllm.tables.table import ResultTable, say_once

if TYPE_CHECKING:
    from mmseg_mllm.analysis.head_costs import HeadCost


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Parameters, FLOPs, memory and time of a config's decode head, and of FCNHead, UPerHead "
        "and SegformerHead on the same backbone. Random weights; nothing is downloaded."
    )
    parser.add_argument("configs", nargs="+", help="config files")
    parser.add_argument(
        "--size", type=int, nargs="+", default=[512], help="sides of the images, 512 by default"
    )
    parser.add_argument("--batch", type=int, default=2, metavar="B", help="images together, 2 by default")
    parser.add_argument("--classes", type=int, default=150, metavar="K", help="150 by default")
    parser.add_argument("--heads", nargs="+", default=[], help="names of heads; all by default")
    parser.add_argument("--device", help="cpu or cuda; cuda by default if there is one")
    parser.add_argument("--repeats", type=int, default=3, metavar="N", help="3 by default")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw costs against size into this picture")
    add_table_flags(parser)
    add_cfg_options(parser)
    args = parser.parse_args()
    check_table_flags(args)
    for path in args.configs:
        check_config_path(path)
    check_out_file("--plot", args.plot)
    return args


def main() -> None:
    args = parse_args()
    # Torch is imported here, after the arguments were found right.
    import torch
    from mmengine.config import Config
    from mmengine.registry import init_default_scope

    from mmseg_mllm.analysis.benchmarks import make_setting
    from mmseg_mllm.analysis.benchmarks.report import device_name
    from mmseg_mllm.analysis.head_costs import compare
    from mmseg_mllm.engine.config import load_config

    configs = {Path(path).stem: load_config(path, args.cfg_options) for path in args.configs}
    setting = make_setting(
        device=args.device,
        dtype="float32",
        images=args.batch,
        expressions=1,
        repeats=args.repeats,
        config=Config(),
    )
    init_default_scope("mmseg")
    costs = []
    for name, config in configs.items():
        chosen = dict(sizes=args.size, classes=args.classes, only=args.heads)
        for cost in compare(name, config, setting=setting, **chosen):
            costs.append(cost)
            print(f"{name}: {cost.head} at {cost.size}", file=sys.stderr)
    found = table(costs, device=device_name(setting.device), threads=torch.get_num_threads())
    write_tables([found], args, made_by=made_by())
    if args.plot:
        plot(costs, args.plot)


def table(costs: "Sequence[HeadCost]", *, device: str, threads: int) -> ResultTable:
    """A row for each config, head and size."""
    rows = [
        {
            "config": cost.config,
            "head": cost.head,
            "size": cost.size,
            "head, M param.": cost.head_parameters / 1e6,
            "model, M param.": cost.parameters / 1e6,
            "GFLOPs / image": cost.flops / 1e9,
            "training, MiB": cost.train["memory"] / 2**20,
            "training, ms": cost.train["seconds"]["median"] * 1e3,
            "inference, MiB": cost.inference["memory"] / 2**20,
            "inference, ms": cost.inference["seconds"]["median"] * 1e3,
        }
        for cost in costs
    ]
    images, classes = costs[0].images, costs[0].classes
    table = ResultTable(
        title=f"{images} images, {classes} classes, float32, {device}, {threads} threads",
        names=["config", "head"],
        rows=rows,
        shared=dict(images=images, classes=classes, device=device, threads=threads),
        caption="Training: forward, loss, backward. MiB: peak above what was in use before the model was "
        "made. ms: median.",
    )
    return say_once(table, ["config"])


def plot(costs: "Sequence[HeadCost]", path: Path) -> None:
    """GFLOPs and time of inference and memory of a training step against the side, a line for each head."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 3.8), layout="constrained")
    panels = {
        "GFLOPs per image, inference": lambda c: c.flops / 1e9,
        "ms per image, inference": lambda c: c.inference["seconds"]["median"] / c.images * 1e3,
        "peak MiB of a training step": lambda c: c.train["memory"] / 2**20,
    }
    several = len({cost.config for cost in costs}) > 1
    for axes, (title, value) in zip(figure.subplots(1, len(panels)), panels.items(), strict=True):
        for key in dict.fromkeys((cost.config, cost.head) for cost in costs):
            own = [cost for cost in costs if (cost.config, cost.head) == key]
            label = ": ".join(key) if several else key[1]
            axes.plot([c.size for c in own], [value(c) for c in own], marker="o", label=label)
        axes.set(title=title, xlabel="side of the image, pixels", xscale="log", yscale="log")
        axes.set_xticks([c.size for c in own], [str(c.size) for c in own])
        axes.minorticks_off()
        axes.grid(alpha=0.3)
        axes.legend(fontsize="small")
    figure.suptitle(" / ".join(dict.fromkeys(cost.config for cost in costs)))
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    run_tool(main)
