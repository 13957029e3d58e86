import numpy as np
import pytest
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS
from PIL import Image

from mmseg_mllm.engine.config import load_config
from mmseg_mllm.errors import DataError
from mmseg_mllm.toy import SEMSEG_CLASSES, SEMSEG_PALETTE, write_toy_refcoco, write_toy_semseg
from mmseg_mllm.toy.semseg import class_map
from mmseg_mllm.toy.sparse_scene import sample_sparse_scene

FEW = dict(train=3, val=2)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return write_toy_semseg(out=tmp_path_factory.mktemp("toy") / "semseg", seed=3, counts=FEW)


def files_of(root):
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def test_every_pixel_has_the_class_of_the_front_shape(root):
    for split, count in FEW.items():
        for index in range(count):
            scene = sample_sparse_scene(seed=3, split=split, index=index)
            stem = f"{split}/{index:06d}"
            ids = np.asarray(Image.open(root / "ann_dir" / f"{stem}.png"))
            assert Image.open(root / "img_dir" / f"{stem}.jpg").size == (scene.width, scene.height)
            assert ids.dtype == np.uint8
            expected = np.zeros(ids.shape, dtype=int)
            for entry in scene.objects:
                expected += entry.visible * SEMSEG_CLASSES.index(entry.shape)
            assert (ids == expected).all()
            assert (ids == class_map(scene=scene)).all()


def test_config_describes_the_set(root):
    init_default_scope("mmseg")
    name = "configs/dsff/toy-resnet_dsff_1xb16-900_toy-64x64.py"
    config = load_config(name, dict(data_root=str(root)))
    dataset = DATASETS.build(config.train_dataloader.dataset)
    assert dataset.metainfo["classes"] == SEMSEG_CLASSES
    assert [tuple(colour) for colour in dataset.metainfo["palette"]] == list(SEMSEG_PALETTE)
    assert len(dataset) == 3
    sample = dataset[0]
    assert sample["inputs"].shape == (3, 64, 64)
    assert set(np.unique(sample["data_samples"].gt_sem_seg.data)) <= set(range(7))


def test_same_arguments_same_bytes_and_no_other_set_is_touched(root, tmp_path):
    before = files_of(root)
    assert write_toy_semseg(out=root, seed=3, counts=FEW) == root
    assert files_of(root) == before
    assert files_of(write_toy_semseg(out=tmp_path / "again", seed=3, counts=FEW)) == before
    with pytest.raises(DataError, match="other arguments"):
        write_toy_semseg(out=root, seed=4, counts=FEW)
    with pytest.raises(DataError, match="other arguments"):
        write_toy_refcoco(out=root, seed=3, counts=FEW)
    assert files_of(root) == before
