"""A test without adapters."""

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from mmseg.registry import HOOKS


@HOOKS.register_module()
class MergeAdaptersHook(Hook):
    """Merge a referring model's LoRA into its weights before a test; it is not to be trained after that."""

    def before_test(self, runner: Runner) -> None:
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        model.backbone.merge_adapters()
