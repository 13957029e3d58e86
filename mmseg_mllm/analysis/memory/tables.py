"""A plan as tables."""

from collections.abc import Sequence

from mmseg_mllm.analysis.memory.advice import Change
from mmseg_mllm.analysis.memory.plan import Plan
from mmseg_mllm.tables.table import ResultTable

GB = 1e9


def memory_table(plan: Plan, *, name: str) -> ResultTable:
    """Memory of each GPU by part."""
    way = plan.way
    rows = [(part, "all along", size) for part, size in plan.held.items()]
    rows += [(part, "at the peak", size) for part, size in plan.peak.items()]
    batches = f", {plan.rounds} batches a step" if plan.rounds > 1 else ""
    return ResultTable(
        title=f"Memory of each GPU: {name}, {way.images} images x {way.expressions} expressions{batches}",
        names=["part", "when"],
        rows=[{"part": part, "when": when, "GB": size / GB} for part, when, size in rows],
        total={"part": "total", "when": "at the peak", "GB": plan.total / GB},
        caption=f"{way.dtype}, {_processes(plan)}, quantization {way.quantization}, gradient checkpointing "
        f"{'on' if way.checkpointing else 'off'}.\n"
        "Activations stand at what computes them; when they are gone, gradients take "
        f"{plan.gradients / GB:.2f} GB.\n1 GB is 10^9 bytes.",
    )


def host_table(plan: Plan, *, kept: int) -> ResultTable:
    """Memory of the host, and disk.

    Args:
        plan: What is planned.
        kept: Checkpoints that stay on the disk; one more is there while it is written.
    """
    rows = {
        "host, each process at its start": plan.host,
        "host, all processes at their start": plan.host * plan.way.gpus,
        "host, main process while it saves, more": plan.checkpoint,
        "disk, one checkpoint of what was trained": plan.checkpoint,
        f"disk, {kept} checkpoints and one being written": plan.checkpoint * (kept + 1),
    }
    return ResultTable(
        title="Host and disk",
        names=["part"],
        rows=[{"part": part, "GB": size / GB} for part, size in rows.items()],
        caption="All processes on one machine. Data workers come on top.",
    )


def change_table(plan: Plan, found: Sequence[Change], *, gpu_memory: float) -> ResultTable:
    """What makes it smaller.

    Args:
        plan: Without a change.
        found: Changes of it.
        gpu_memory: Of a GPU, in GB.
    """
    return ResultTable(
        title="What makes it smaller",
        names=["change", "fits", "cost"],
        rows=[
            {
                "change": change.says,
                "GB": change.plan.total / GB,
                "saves": (plan.total - change.plan.total) / GB,
                "fits": "yes" if change.plan.total / GB <= gpu_memory else "no",
                "cost": change.cost,
            }
            for change in found
        ],
    )


def verdict(plan: Plan, found: Sequence[Change], *, gpu_memory: float) -> str:
    """Whether it fits, in one sentence, and what to do if not."""
    need = f"{plan.total / GB:.1f} GB at the peak of {gpu_memory:g} GB"
    if plan.total / GB <= gpu_memory:
        return f"It fits: {need}"
    fitting = next((change for change in found if change.plan.total / GB <= gpu_memory), None)
    if fitting is None:
        return f"It does not fit: {need}; take a larger GPU, or a smaller model"
    return f"It does not fit: {need}; it does with {fitting.says}"


def _processes(plan: Plan) -> str:
    if plan.way.gpus == 1:
        return "1 GPU"
    return f"{plan.way.gpus} GPUs ({'FSDP' if plan.way.shard else 'DDP'})"
