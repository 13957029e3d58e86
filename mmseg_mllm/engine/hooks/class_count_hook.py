"""Whether a model has as many classes as its dataset."""

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.registry import HOOKS
from torch.utils.data import DataLoader

from mmseg_mllm.errors import ConfigError


@HOOKS.register_module()
class ClassCountHook(Hook):
    """Stop before the first batch where a decode head has another number of classes than the dataset.

    Too few classes end on a GPU in an assertion of the device, too many go unnoticed. Datasets that name no
    classes, and heads with a single one, are let pass.
    """

    def before_train(self, runner: Runner) -> None:
        self._check(runner, runner.train_dataloader)

    def before_val(self, runner: Runner) -> None:
        self._check(runner, runner.val_dataloader)

    def before_test(self, runner: Runner) -> None:
        self._check(runner, runner.test_dataloader)

    @staticmethod
    def _check(runner: Runner, dataloader: DataLoader) -> None:
        classes = getattr(dataloader.dataset, "metainfo", {}).get("classes")
        if classes is None:
            return
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        for name, head in model.named_modules():
            if isinstance(head, BaseDecodeHead) and head.num_classes not in (1, len(classes)):
                raise ConfigError(
                    f"model.{name}.num_classes={head.num_classes}, but the dataset has "
                    f"{len(classes)} classes: set it to {len(classes)}"
                )
