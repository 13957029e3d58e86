"""What a sharded model needs around checkpoints and evaluation."""

from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmseg.registry import HOOKS

from mmseg_mllm.engine.sharding import gather, scatter, sharded_weights


@HOOKS.register_module()
class ShardsHook(Hook):
    """Cut loaded tensors, and gather the model while it answers."""

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        weights = checkpoint.get("state_dict", checkpoint)
        weights.update(sharded_weights(weights, runner.model))

    def before_val(self, runner: Runner) -> None:
        gather(runner.model)

    def after_val(self, runner: Runner) -> None:
        scatter(runner.model)

    def before_test(self, runner: Runner) -> None:
        gather(runner.model)
