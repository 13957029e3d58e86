"""The data pipelines on the config's own files."""

from collections.abc import Callable

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS
from PIL import Image
from torch import Tensor

from mmseg_mllm.analysis.benchmarks.way import Benchmark, Pair, Setting, Way
from mmseg_mllm.errors import ConfigError

SAMPLES = 64
"""Samples of one run, fewer where the dataset has fewer."""


def pipeline(config: Config, setting: Setting) -> Benchmark:
    """Samples of both dataloaders' datasets, in this process; bare decoding and resizing beside each."""
    init_default_scope("mmseg")
    ways, pairs = {}, []
    for name in ("test", "train"):
        loader = config.get(f"{name}_dataloader")
        if not loader:
            raise ConfigError(f"the config has no {name}_dataloader")
        dataset = DATASETS.build(loader.dataset)
        if not len(dataset):
            raise ConfigError(f"{name}_dataloader: the dataset is empty")
        count = min(SAMPLES, len(dataset))
        height, width = dataset[0]["inputs"].shape[1:]
        bare = f"{name} images: decode, resize"
        ways[f"{name} pipeline"] = Way(run=_pipeline(dataset, count), images=count)
        ways[bare] = Way(run=_bare(dataset, count, (width, height)), images=count)
        # Training changes the image at random.
        pairs.append(Pair(way=f"{name} pipeline", plain=bare, differ="" if name == "test" else None))
    return Benchmark(ways=ways, pairs=pairs, result="first image's values, 0 to 255", cpu_time=True)


def _pipeline(dataset: BaseDataset, count: int) -> Callable[[], Tensor]:
    def run() -> Tensor:
        first, *_ = [dataset[i]["inputs"] for i in _spread(dataset, count)]
        return first

    return run


def _bare(dataset: BaseDataset, count: int, size: tuple[int, int]) -> Callable[[], Tensor]:
    paths = [dataset.get_data_info(i)["img_path"] for i in _spread(dataset, count)]

    def run() -> Tensor:
        images = []
        for path in paths:
            with Image.open(path) as image:
                images.append(np.array(image.convert("RGB").resize(size, Image.Resampling.BICUBIC)))
        return torch.from_numpy(images[0].transpose(2, 0, 1))

    return run


def _spread(dataset: BaseDataset, count: int) -> list[int]:
    """Indices from all over the dataset: joined datasets stand one after another."""
    return [i * len(dataset) // count for i in range(count)]
