"""Costs of a config's head beside MMSegmentation's: python tools/analysis_tools/compare_heads.py CONFIG..."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from mmseg_mllm.engine.cli import add_cfg_options, check_config_path, check_out_file, made_by, run_tool
from mmseg_mllm.tables.output import add_table_flags, check_table_flags, write_tables
from mmseg_mllm.tables.table import ResultTable, say_once


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
    rows = []
    for name, config in configs.items():
        chosen = dict(sizes=args.size, classes=args.classes, only=args.heads)
        for row in compare(name, config, setting=setting, **chosen):
            rows.append(row)
            print(f"{name}: {row['head']} at {row['size']}", file=sys.stderr)
    shared = dict(images=args.batch, classes=args.classes, device=device_name(setting.device))
    found = ResultTable(
        title=f"{args.batch} images, {args.classes} classes, float32, {shared['device']}, "
        f"{torch.get_num_threads()} threads",
        names=["config", "head"],
        rows=rows,
        shared=shared,
        caption="Training: forward, loss, backward. MiB: peak above what was in use before the model was "
        "made. ms: median.",
    )
    write_tables([say_once(found, ["config"])], args, made_by=made_by())
    if args.plot:
        plot(rows, images=args.batch, path=args.plot)


def plot(rows: Sequence[dict], *, images: int, path: Path) -> None:
    """GFLOPs and time of inference and memory of a training step against the side, a line for each head."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 3.8), layout="constrained")
    panels = {
        "GFLOPs per image, inference": ("GFLOPs / image", 1),
        "ms per image, inference": ("inference, ms", images),
        "peak MiB of a training step": ("training, MiB", 1),
    }
    several = len({row["config"] for row in rows}) > 1
    for axes, (title, (column, parts)) in zip(figure.subplots(1, len(panels)), panels.items(), strict=True):
        for key in dict.fromkeys((row["config"], row["head"]) for row in rows):
            own = [row for row in rows if (row["config"], row["head"]) == key]
            label = ": ".join(key) if several else key[1]
            axes.plot([r["size"] for r in own], [r[column] / parts for r in own], marker="o", label=label)
        axes.set(title=title, xlabel="side of the image, pixels", xscale="log", yscale="log")
        axes.set_xticks([r["size"] for r in own], [str(r["size"]) for r in own])
        axes.minorticks_off()
        axes.grid(alpha=0.3)
        axes.legend(fontsize="small")
    figure.suptitle(" / ".join(dict.fromkeys(row["config"] for row in rows)))
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    run_tool(main)
