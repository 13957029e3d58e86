"""Damaged files lead to clean data or to an error of our own, and to nothing else."""

import json
import pickle
from random import Random

import pytest
from helpers.memory import grows_by_less_than
from helpers.mutations import damaged_bytes, damaged_structure

from mmseg_mllm.datasets import GRefCOCODataset, LoadReferringMasks, RefCOCODataset
from mmseg_mllm.datasets.masks import union_mask
from mmseg_mllm.errors import DataError, MMSegMLLMError
from mmseg_mllm.prompts import expression_problem

NUM_CASES = 500
"""Of each kind; there are four."""
MAX_GROWTH = 2**30
"""Bytes of memory."""
KINDS = {"refcoco": (RefCOCODataset, "refs(unc).p"), "grefcoco": (GRefCOCODataset, "grefs(unc).json")}


@pytest.fixture(autouse=True)
def bounded_memory():
    with grows_by_less_than(MAX_GROWTH):
        yield


@pytest.mark.parametrize("name", ["refcoco", "grefcoco"])
def test_damaged_refs(refer_root, tmp_path, name):
    path = refer_root / name / KINDS[name][1]
    whole = path.read_bytes()
    for_json = path.suffix == ".json"
    content = json.loads(whole) if for_json else pickle.loads(whole)
    for seed in range(NUM_CASES):
        rng = Random(seed)
        data = whole
        if seed % 2:
            damaged = damaged_structure(content, rng, for_json=for_json, witness=str(tmp_path / "ran"))
            data = _json(damaged) if for_json else pickle.dumps(damaged, protocol=rng.randrange(6))
        path.write_bytes(damaged_bytes(data, rng) if seed % 2 == 0 or rng.random() < 0.2 else data)
        check(refer_root, name, seed)
    assert not (tmp_path / "ran").exists()


def test_damaged_instances(refer_root):
    path = refer_root / "refcoco" / "instances.json"
    whole = path.read_bytes()
    for seed in range(NUM_CASES):
        rng = Random(seed)
        damaged = _json(damaged_structure(json.loads(whole), rng, for_json=True, witness=""))
        path.write_bytes(damaged if seed % 3 else damaged_bytes(whole, rng))
        check(refer_root, "refcoco", seed)


def test_damaged_segmentations(refer_root):
    instances = json.loads((refer_root / "refcoco" / "instances.json").read_text())
    sizes = {image["id"]: (image["height"], image["width"]) for image in instances["images"]}
    for seed in range(NUM_CASES):
        rng = Random(seed)
        annotation = rng.choice(instances["annotations"])
        height, width = sizes[annotation["image_id"]]
        damaged = damaged_structure([annotation["segmentation"]], rng, for_json=True, witness="")
        try:
            mask = union_mask(dict(enumerate(damaged)), height=height, width=width)
            assert mask.shape == (height, width)
        except DataError as error:
            check_message(error)
        except Exception as error:
            pytest.fail(f"seed {seed}: {error!r:.300}")


def check(root, name, seed):
    """Read the dataset as a run would, up to the images."""
    kind, file = KINDS[name]
    try:
        for split in ("val", "train"):
            dataset = kind(
                data_root=str(root),
                ann_file=f"{name}/instances.json",
                split_file=f"{name}/{file}",
                data_prefix=dict(img_path="images"),
                split=split,
                serialize_data=False,
            )
            for index in range(len(dataset)):
                check_sample(dataset.get_data_info(index))
    except MMSegMLLMError as error:
        check_message(error)
    except Exception as error:
        pytest.fail(f"seed {seed}: {error!r:.300}")


def check_sample(sample):
    sample = pickle.loads(pickle.dumps(sample))  # as samples reach the workers
    sample["ori_shape"] = sample["height"], sample["width"]
    json.dumps(sample["expressions"]).encode()
    assert sample["expressions"]
    for expression in sample["expressions"]:
        assert expression_problem(expression["text"]) is None
        expression["text"].encode()
        assert {type(i) for i in expression["ann_ids"]} <= {int, str}
        assert {type(expression[key]) for key in ("ref_id", "sent_id")} <= {int, str}
    masks = LoadReferringMasks()(sample)["gt_masks"]
    assert masks.shape == (len(sample["expressions"]), *sample["ori_shape"])


def check_message(error):
    """One line that can be printed."""
    message = str(error)
    assert len(message.encode()) < 1000
    assert "\n" not in message


def _json(content) -> bytes:
    return json.dumps(content).encode()
