"""Writes pictures of test predictions."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

from mmengine.dist import get_dist_info
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmseg.registry import HOOKS
from mmseg.structures import SegDataSample

from mmseg_mllm.datasets.images import read_rgb
from mmseg_mllm.errors import ConfigError
from mmseg_mllm.visualization import ReferringVisualizer


def spread_indices(*, total: int, count: int | None) -> Collection[int]:
    """The middles of ``count`` equal stretches of ``range(total)``; all of it where it holds no more."""
    if count is None or count >= total:
        return range(total)
    return {(2 * stretch + 1) * total // (2 * count) for stretch in range(count)}


def spread_samples(
    runner: Runner, batch_idx: int, outputs: Sequence[SegDataSample], *, count: int | None
) -> Iterator[tuple[int, SegDataSample]]:
    """Samples of a test batch that are among ``count`` spread over the test set, with their places there."""
    chosen = spread_indices(total=len(runner.test_dataloader.dataset), count=count)
    rank, world_size = get_dist_info()
    first = batch_idx * runner.test_dataloader.batch_size
    for place, sample in enumerate(outputs):
        # The test sampler deals the samples out in order, one to each process in turn.
        index = (first + place) * world_size + rank
        if index in chosen:
            yield index, sample


def picture_name(sample: Mapping) -> str:
    """File name of a sample's picture, without suffix; the id tells apart files of one name."""
    parts = (*(sample[key] for key in ("dataset", "split", "img_id")), Path(sample["img_path"]).stem)
    return "_".join(map(str, parts)).replace("/", "_")


@HOOKS.register_module()
class ReferringVisualizationHook(Hook):
    """Writes ``{out_dir}/{dataset}_{split}_{image id}_{image stem}.png`` for images spread over the test set.

    Every process writes the images that it has tested. An image that the test set holds several times is
    drawn once.

    Args:
        out_dir: Folder of the pictures; None does nothing.
        num_images: How many samples of the test set are drawn; None draws all.
        draw_gt: Show the ground truth beside the prediction.

    Attributes:
        written: Paths of the pictures of the latest test run.

    Raises:
        ConfigError: ``num_images`` is below one.
    """

    priority = "LOW"

    def __init__(
        self, *, out_dir: str | None = None, num_images: int | None = 12, draw_gt: bool = True
    ) -> None:
        if num_images is not None and num_images < 1:
            raise ConfigError(f"num_images must be at least 1, or None for all images, got {num_images}")
        self.out_dir = out_dir
        self.num_images = num_images
        self.draw_gt = draw_gt
        self.written: list[str] = []
        self._visualizer = ReferringVisualizer("referring_visualization_hook")

    def before_test(self, runner: Runner) -> None:
        self.written = []

    def after_test_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict | tuple | list | None = None,
        outputs: Sequence[SegDataSample] | None = None,
    ) -> None:
        """Draw the chosen ones of ``outputs``.

        Raises:
            DataError: an image can't be read, or its sample lacks expressions or masks, or the masks have
                another size than the image file.
        """
        if self.out_dir is None:
            return
        for _, sample in spread_samples(runner, batch_idx, outputs or (), count=self.num_images):
            meta = sample.metainfo
            stem = picture_name(meta)
            out_file = str(Path(self.out_dir) / f"{stem}.png")
            if out_file in self.written:
                continue
            image = read_rgb(meta["img_path"], upright=meta.get("upright", False))
            self._visualizer.add_datasample(stem, image, sample, draw_gt=self.draw_gt, out_file=out_file)
            self.written.append(out_file)
