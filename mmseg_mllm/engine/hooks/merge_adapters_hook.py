"""A test without adapters."""

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from mmseg.registry import HOOKS


@HOOKS.register_module()
class MergeAdaptersHook(Hook):
    """Merge the LoRA of a referring model into its weights before a test; it can't be trained on after that."""

    def before_test(self, runner: Runner) -> None:
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        model.backbone.merge_adapters()
