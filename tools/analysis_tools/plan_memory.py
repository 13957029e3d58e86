"""Whether a training fits, before it runs: python tools/analysis_tools/plan_memory.py CONFIG --gpus 4."""

import argparse
from pathlib import Path

from mmseg_mllm.engine.cli import check_config_path, config_parser, made_by, run_tool
from mmseg_mllm.tables.output import add_table_flags, check_table_flags, write_tables
from mmseg_mllm.tables.table import ResultTable


def parse_args() -> argparse.Namespace:
    parser = config_parser(
        "Count the memory of a training by part, on GPUs, host and disk. No weights, data or GPU are needed."
    )
    parser.add_argument(
        "--gpus", type=int, default=1, metavar="N", help="processes, one per GPU; 1 by default"
    )
    parser.add_argument(
        "--gpu-memory", type=float, default=80, metavar="GB", help="of each GPU, as it is sold; 80 by default"
    )
    parser.add_argument("--shard", action="store_true", help="weights spread over the GPUs (FSDP)")
    parser.add_argument("--quantization", choices=["nf4", "int8"], help="of the LLM's linears")
    parser.add_argument(
        "--measure", action="store_true", help="also run a step here, with random weights, and compare"
    )
    add_table_flags(parser)
    args = parser.parse_args()
    if args.gpus < 1 or args.gpu_memory <= 0:
        parser.error("--gpus and --gpu-memory must be above 0")
    check_table_flags(args)
    check_config_path(args.config)
    return args


def main() -> None:
    args = parse_args()
    # Torch is imported here, after the arguments were found right.
    from mmseg_mllm.analysis.memory.advice import changes
    from mmseg_mllm.analysis.memory.plan import Planner, way_of
    from mmseg_mllm.analysis.memory.tables import change_table, host_table, memory_table, verdict
    from mmseg_mllm.engine.config import load_config

    config = load_config(args.config, args.cfg_options)
    way = way_of(config, gpus=args.gpus, shard=args.shard, quantization=args.quantization)
    planner = Planner(config)
    plan = planner.plan(way)
    found = list(changes(planner, plan))
    kept = config.default_hooks.checkpoint.get("max_keep_ckpts", 1)
    tables = [memory_table(plan, name=Path(args.config).stem), host_table(plan, kept=kept)]
    if found:
        tables.append(change_table(plan, found, gpu_memory=args.gpu_memory))
    if args.measure:
        tables.append(measured_table(config, plan.way))
    console = write_tables(tables, args, made_by=made_by())
    console.print(verdict(plan, found, gpu_memory=args.gpu_memory), soft_wrap=True, highlight=False)


def measured_table(config, way) -> ResultTable:
    """A step of one process on this machine's device, planned and measured."""
    import torch
    from mmengine.device import get_device

    from mmseg_mllm.analysis.memory.measured import measured_step
    from mmseg_mllm.analysis.memory.plan import stored
    from mmseg_mllm.analysis.memory.training_step import step_memory

    device = torch.device(get_device())
    backbone = dict(
        config.model.backbone, gradient_checkpointing=way.checkpointing, quantization=way.quantization
    )
    sizes = dict(images=way.images, expressions=way.expressions, dtype=way.dtype)
    model = dict(config.model, backbone=backbone)
    step = step_memory(model, gpu=device.type == "cuda", **sizes)
    planned = step.total - step.frozen + sum(stored(step, way.quantization))
    measured = measured_step(model, device=device, **sizes)
    return ResultTable(
        title=f"Forward and backward on this machine ({device.type}), without optimiser",
        names=[],
        rows=[{"planned, GB": planned / 1e9, "measured, GB": measured / 1e9, "ratio": planned / measured}],
    )


if __name__ == "__main__":
    run_tool(main)
