"""Pictures of ordinary semantic segmentation."""

from collections.abc import Sequence
from pathlib import Path

import mmcv
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmseg.registry import HOOKS

from mmseg_mllm.engine.hooks.referring_visualization_hook import spread_samples


@HOOKS.register_module()
class SpreadSegVisualizationHook(Hook):
    """Draws test samples beside their ground truth, as mmseg's hook does, but spread over the test set.

    Pictures are named by the sample's place in the test set and its file, of which others may have the name.

    Attributes:
        num_images: How many are drawn; None draws all.
    """

    num_images: int | None = None

    def after_test_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict | None = None, outputs: Sequence | None = None
    ) -> None:
        for index, sample in spread_samples(runner, batch_idx, outputs or (), count=self.num_images):
            image = mmcv.imread(sample.img_path, channel_order="rgb")
            runner.visualizer.add_datasample(f"{index:05}_{Path(sample.img_path).stem}", image, sample)
