import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from mmseg.registry import DATASETS
from PIL import Image
from pycocotools import mask as coco_mask

CONFIG = Path(__file__).parents[3] / "configs/_base_/datasets/toy_refcoco.py"


@pytest.fixture
def config(toy_root):
    config = Config.fromfile(CONFIG)
    for loader in (config.train_dataloader, config.val_dataloader, config.test_dataloader):
        loader.dataset.data_root = str(toy_root)
        loader.update(num_workers=0, persistent_workers=False)
    with DefaultScope.overwrite_default_scope("mmseg"):
        yield config


@pytest.fixture
def toy(toy_root):
    """Refs of the toy set by split, its images and its annotations by id, read plainly."""
    refs = pickle.loads((toy_root / "refcoco/refs(unc).p").read_bytes())
    instances = json.loads((toy_root / "refcoco/instances.json").read_text())
    return (
        refs,
        {image["id"]: image for image in instances["images"]},
        {annotation["id"]: annotation for annotation in instances["annotations"]},
    )


def rasterised(annotation: dict, image: dict) -> np.ndarray:
    rles = coco_mask.frPyObjects(annotation["segmentation"], image["height"], image["width"])
    return coco_mask.decode(coco_mask.merge(rles)).astype(bool)


def box_around(mask: torch.Tensor) -> list[int]:
    y, x = np.nonzero(mask.numpy())
    return [x.min(), y.min(), x.max() + 1, y.max() + 1]


def test_training_pipeline(config, toy):
    refs, images, annotations = toy
    dataset = DATASETS.build(config.train_dataloader.dataset)
    assert len(dataset) == len({ref["image_id"] for ref in refs if ref["split"] == "train"}) == 6
    spoken = {s["sent_id"]: (s["sent"], ref) for ref in refs for s in ref["sentences"]}
    for item in dataset:
        sample = item["data_samples"]
        assert item["inputs"].shape == (3, 96, 96)
        assert 1 <= len(sample.expressions) == len(set(sample.sent_ids)) <= 4
        assert sample.gt_instances.masks.shape == (len(sample.expressions), 96, 96)
        targets = sample.gt_instances
        for text, sent_id, mask, box in zip(
            sample.expressions, sample.sent_ids, targets.masks, targets.bboxes, strict=True
        ):
            sentence, ref = spoken[sent_id]
            assert (text, sample.img_id, "train") == (sentence, ref["image_id"], ref["split"])
            image = images[ref["image_id"]]
            target = Image.fromarray(rasterised(annotations[ref["ann_id"]], image))
            assert np.array_equal(mask, np.asarray(target.resize((96, 96), Image.NEAREST)))
            # Masks are of whole pixels.
            np.testing.assert_allclose(box, box_around(mask), atol=3)


def test_training_sees_every_expression_in_time(config, toy):
    refs, _, _ = toy
    dataset = DATASETS.build(config.train_dataloader.dataset)
    expected = {s["sent_id"] for ref in refs if ref["split"] == "train" for s in ref["sentences"]}
    seen = {i for _ in range(25) for item in dataset for i in item["data_samples"].sent_ids}
    assert seen == expected


def test_testing_pipeline(config, toy, toy_root):
    refs, images, annotations = toy
    dataset = DATASETS.build(config.test_dataloader.dataset)
    assert len(dataset) == 7
    asked = []
    for item in dataset:
        sample = item["data_samples"]
        image = images[sample.img_id]
        picture = Image.open(toy_root / "train2014" / image["file_name"]).convert("RGB")
        expected = np.asarray(picture.resize((96, 96), Image.BICUBIC))
        assert np.array_equal(item["inputs"].permute(1, 2, 0), expected)
        assert sample.ori_shape == (image["height"], image["width"])
        assert sample.img_shape == (96, 96)
        for ids, mask in zip(sample.ann_ids, sample.gt_instances.masks, strict=True):
            assert np.array_equal(mask, rasterised(annotations[ids[0]], image))
        for ids, box in zip(sample.ann_ids, sample.gt_instances.bboxes, strict=True):
            x, y, width, height = annotations[ids[0]]["bbox"]
            np.testing.assert_allclose(box, [x, y, x + width, y + height], rtol=1e-6)
        asked += [(sample.split, sample.img_id, i) for i in sample.sent_ids]
    assert sorted(asked) == sorted(
        (ref["split"], ref["image_id"], s["sent_id"])
        for ref in refs
        if ref["split"] != "train"
        for s in ref["sentences"]
    )


def test_loaders_give_batches(config):
    batch = next(iter(Runner.build_dataloader(config.train_dataloader, seed=0)))
    assert len(batch["inputs"]) == len(batch["data_samples"]) == 16
    assert all(image.dtype == torch.uint8 and image.shape == (3, 96, 96) for image in batch["inputs"])
    (batch,) = Runner.build_dataloader(config.val_dataloader)
    assert [sample.split for sample in batch["data_samples"]] == ["val"] * 3
