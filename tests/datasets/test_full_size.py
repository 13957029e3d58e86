"""The dataset of tests/benchmarks, a hundredth of its size."""

import pytest
from benchmarks.full_size import NUM_ANNOTATIONS, NUM_IMAGES, NUM_REFS, NUM_SENTENCES, write_full_size

from mmseg_mllm.datasets import LoadReferringMasks, RefCOCODataset
from mmseg_mllm.datasets.checks import check_refer
from mmseg_mllm.datasets.refer import annotation_ids, load_instances, load_refer

SCALE = 0.01


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return write_full_size(tmp_path_factory.mktemp("full"), scale=SCALE)


def test_only_annotations_in_use_are_kept(root):
    ann_file, split_file = root / "refcoco/instances.json", root / "refcoco/refs(unc).p"
    files = load_refer(ann_file=ann_file, split_file=split_file)
    assert files.annotations.keys() == {i for ref in files.refs for i in annotation_ids(ref)}
    whole = load_instances(ann_file)
    images, annotations = whole.images, whole.annotations
    assert files.images == images
    assert files.annotations.items() < annotations.items()
    assert (len(images), len(annotations)) == (SCALE * NUM_IMAGES, SCALE * NUM_ANNOTATIONS)


def test_samples(root):
    dataset = RefCOCODataset(
        data_root=str(root),
        ann_file="refcoco/instances.json",
        split_file="refcoco/refs(unc).p",
        split=["train", "val", "testA", "testB"],
    )
    samples = [dataset.get_data_info(index) for index in range(len(dataset))]
    expressions = [expression for sample in samples for expression in sample["expressions"]]
    assert len(expressions) == SCALE * NUM_SENTENCES
    assert len({expression["ref_id"] for expression in expressions}) == SCALE * NUM_REFS
    samples[0]["ori_shape"] = samples[0]["height"], samples[0]["width"]
    assert LoadReferringMasks()(samples[0])["gt_masks"].any(axis=(1, 2)).all()


def test_masks_are_whole(root):
    (report,) = check_refer(root)
    assert {problem.what for problem in report.problems} <= {
        "images not found",
        "counts differ from the published ones",
        "same expression for different targets of an image",
    }
