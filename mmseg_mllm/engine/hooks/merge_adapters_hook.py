"""A test without adapters."""

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from mmseg.registry import HOOKS

from mmseg_mllm.engine.sharding import is_sharded


@HOOKS.register_module()
class MergeAdaptersHook(Hook):
    """Merge a referring model's LoRA into its weights before a test; it is not to be trained after that."""

    def before_test(self, runner: Runner) -> None:
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        if not is_sharded(model):  # shards of a weight and of its adapter can't be added up
            model.backbone.merge_adapters()
