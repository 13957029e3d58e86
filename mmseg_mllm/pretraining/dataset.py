"""Toy scenes with questions and answers, made when they are asked for."""

import numpy as np
import torch
from mmengine.structures import BaseDataElement
from mmseg.registry import DATASETS
from PIL import Image
from torch.utils.data import Dataset

from mmseg_mllm.toy.chat import UNTOLD, scene_turns, square_labels
from mmseg_mllm.toy.render import render_scene
from mmseg_mllm.toy.scene import sample_scene
from mmseg_mllm.toy.vocabulary import scene_rng


@DATASETS.register_module()
class ToyChatDataset(Dataset):
    """One sample is one rendered scene with its questions and answers; nothing is read from disk.

    A sample holds ``inputs`` (3, S, S) uint8 RGB, and ``data_samples`` with ``turns`` (question and answer),
    their ``kinds`` and ``squares`` (see ``toy.chat.Turn``), and what ``toy.chat.square_labels`` says.

    Args:
        length: Number of scenes.
        image_size: Side S of the image in pixels.
        seed: Of the scenes; the toy set of the quick start has 0.
        split: Whose scenes: 'train', 'val', 'testA' or 'testB'.
        grey: Share of scenes shown without colours, so that shapes are learned apart from colours.
            Their squares' colour is ``UNTOLD``; their turns still name colours and are not to be used.
    """

    def __init__(
        self, *, length: int, image_size: int, seed: int, split: str = "train", grey: float = 0.0
    ) -> None:
        self.length = length
        self.image_size = image_size
        self.seed = seed
        self.split = split
        self.grey = grey
        self.metainfo: dict = {}

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> dict:
        origin = dict(seed=self.seed, split=self.split, index=index)
        scene = sample_scene(**origin)
        picture = Image.fromarray(render_scene(scene=scene, rng=scene_rng(**origin, stream="picture")))
        turns = scene_turns(scene=scene, rng=scene_rng(**origin, stream="chat"))
        labels = square_labels(scene=scene)
        if scene_rng(**origin, stream="grey").random() < self.grey:
            picture = picture.convert("L").convert("RGB")
            labels["words"][:, 0] = UNTOLD
        side = (self.image_size, self.image_size)
        pixels = np.array(picture.resize(side, Image.Resampling.BICUBIC))
        sample = BaseDataElement(
            metainfo=dict(
                turns=[(turn.question, turn.answer) for turn in turns],
                kinds=[turn.kind for turn in turns],
                squares=[turn.square for turn in turns],
                **labels,
            )
        )
        return dict(inputs=torch.from_numpy(pixels).permute(2, 0, 1).contiguous(), data_samples=sample)
