"""What makes a training smaller, what it gains, and what it costs."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from mmseg_mllm.analysis.memory.plan import Plan, Planner, Way


@dataclass(frozen=True, kw_only=True)
class Change:
    """One change and what comes of it.

    Attributes:
        says: The change, as it is written in a command.
        cost: What it costs.
        plan: The whole with it.
    """

    says: str
    cost: str
    plan: Plan


def changes(planner: Planner, plan: Plan) -> Iterator[Change]:
    """Changes of a plan that each make it smaller, then all of them that go together.

    None changes what an optimiser step sees: fewer images at a time are accumulated. Shards and quantised
    weights do not go together: where there is one, the other is no choice.
    """
    found = list(_ways(plan.way))
    for says, cost, way in found:
        yield Change(says=says, cost=cost, plan=planner.plan(way))
    if len(found) > 1:
        both, left_out = plan.way, []
        for says, _, way in found:
            different = {k: v for k, v in vars(way).items() if v != getattr(plan.way, k)}
            if (more := replace(both, **different)).shard and more.quantization:
                left_out.append(says)
            else:
                both = more
        together = f"all but {left_out[0]}" if left_out else "all of these"
        yield Change(says=together, cost=together, plan=planner.plan(both))


def _ways(way: Way) -> Iterator[tuple[str, str, Way]]:
    if not way.checkpointing:
        yield (
            "model.backbone.gradient_checkpointing=True",
            "a third more time",
            replace(way, checkpointing=True),
        )
    if way.images > 1:
        yield (
            "train_dataloader.batch_size=1",
            "the same step in more parts",
            replace(way, images=1),
        )
    if way.gpus > 1 and not way.shard and way.quantization is None:
        yield "--shard", "traffic between GPUs", replace(way, shard=True)
    if way.quantization is None and not way.shard:
        yield (
            "model.backbone.quantization=nf4",
            "slower; masks differ a little",
            replace(way, quantization="nf4"),
        )
