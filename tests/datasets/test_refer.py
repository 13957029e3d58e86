import collections
import json
import os
import pickle

import numpy as np
import pytest

from mmseg_mllm.datasets.refer import annotation_ids, load_instances, load_refer, load_refs
from mmseg_mllm.errors import DataError

REF = dict(
    ref_id=3,
    ann_id=5,
    image_id=8,
    split="val",
    sent_ids=[1],
    sentences=[dict(raw="A dog", sent="a dog", sent_id=1, tokens=["a", "dog"])],
)


class Command:
    """Runs a shell command when it is unpickled."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_pickles_of_plain_containers_load(tmp_path, protocol):
    refs = [
        REF,
        REF | dict(ann_id=[5, 6], area=1.5, crowd=False, note=None, box=(1, 2), name="caf\u00e9", big=2**70),
    ]
    path = tmp_path / "refs(unc).p"
    path.write_bytes(pickle.dumps(refs, protocol=protocol))
    assert load_refs(path) == refs


def test_python_2_pickle_loads(tmp_path):
    # Byte strings as Python 2 wrote them, one of them not ASCII.
    path = tmp_path / "refs(unc).p"
    head = b"\x80\x02]q\x01}q\x02("
    body = (
        b"U\x06ref_idK\x03U\x06ann_idK\x05U\x08image_idK\x08U\x05splitU\x03val"
        b"U\tsentences]q\x03}q\x04(U\x04sentU\x04caf\xe9U\x07sent_idK\x01uaua."
    )
    path.write_bytes(head + body)
    assert load_refs(path) == [
        dict(ref_id=3, ann_id=5, image_id=8, split="val", sentences=[dict(sent="caf\u00e9", sent_id=1)])
    ]


@pytest.mark.parametrize("protocol", [0, 2, 4])
@pytest.mark.parametrize("place", ["whole", "ref", "sentence", "key"])
def test_a_pickle_that_runs_code_is_refused_and_not_run(tmp_path, place, protocol):
    witness = tmp_path / "witness"
    bomb = Command(f"touch {witness}")
    content = {
        "whole": bomb,
        "ref": [REF, bomb],
        "sentence": [REF | dict(sentences=[dict(sent="a dog", sent_id=bomb)])],
        "key": [REF, {("deep", (bomb,)): [REF]}],
    }[place]
    path = tmp_path / "refs(unc).p"
    path.write_bytes(pickle.dumps(content, protocol=protocol))
    with pytest.raises(DataError) as caught:
        load_refs(path)
    assert str(path) in str(caught.value)
    assert f"{os.system.__module__}.system" in str(caught.value)
    assert not witness.exists()
    pickle.loads(path.read_bytes())
    assert witness.exists(), "the crafted pickle is harmless, so nothing was shown"


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (np.arange(3), "_reconstruct"),
        (np.float64(1.5), "scalar"),
        (collections.OrderedDict(a=1), "collections.OrderedDict"),
        (eval, "eval"),
    ],
)
def test_a_pickle_of_other_objects_is_refused_by_name(tmp_path, value, name):
    path = tmp_path / "refs(unc).p"
    path.write_bytes(pickle.dumps([REF | dict(extra=value)]))
    with pytest.raises(DataError) as caught:
        load_refs(path)
    assert str(path) in str(caught.value)
    assert name in str(caught.value)


def test_a_pickle_that_unfolds_without_end_is_refused(tmp_path):
    bomb = []
    for _ in range(60):
        bomb = [bomb] * 10
    path = tmp_path / "refs(unc).p"
    for content in (bomb, [REF | dict(sentences=[dict(sent="a dog", sent_id=1), bomb])]):
        path.write_bytes(pickle.dumps(content))
        with pytest.raises(DataError, match=r"refs\(unc\)\.p"):
            load_refs(path)


@pytest.mark.parametrize("content", [b"", b"version https://git-lfs", b"\x80\x04K", b"\x00" * 50, b"I5\n0."])
def test_broken_pickles(tmp_path, content):
    path = tmp_path / "refs(unc).p"
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        load_refs(path)
    assert str(path) in str(caught.value)


def test_pickle_cut_off_anywhere(tmp_path):
    path = tmp_path / "refs(unc).p"
    whole = pickle.dumps([REF], protocol=4)
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(DataError, match=r"refs\(unc\)\.p"):
            load_refs(path)


DEEP = "[" * 100_000


@pytest.mark.parametrize("content", [b"", b"{", b'[{"ref_id": 3', b"\xff\xfe", DEEP.encode()])
def test_broken_json(tmp_path, content):
    for name, load in [("grefs(unc).json", load_refs), ("instances.json", load_instances)]:
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(DataError) as caught:
            load(path)
        assert str(path) in str(caught.value)


@pytest.mark.parametrize("name", ["refs(unc).p", "grefs(unc).json", "instances.json", "."])
def test_missing_files_are_named(tmp_path, name):
    path = tmp_path / "nowhere" / name
    for load in (load_refs, load_instances):
        with pytest.raises(DataError) as caught:
            load(path)
        assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    "content",
    [
        {"refs": [REF]},
        5,
        ["a dog"],
        [[REF]],
        [REF, {key: value for key, value in REF.items() if key != "split"}],
        [REF, REF | dict(ann_id=None)],
        [REF, REF | dict(ann_id=[[5]])],
        [REF, REF | dict(ann_id=["5", 5])],
        [REF, REF | dict(ann_id=True)],
        [REF, REF | dict(ann_id=2**70)],
        [REF, REF | dict(ref_id=[1])],
        [REF, REF | dict(image_id=[8])],
        [REF, REF | dict(split=["val"])],
        [REF, REF | dict(sentences={})],
        [REF, REF | dict(sentences="a dog")],
        [REF, REF | dict(sentences=["a dog"])],
        [REF, REF | dict(sentences=[dict(raw="a dog", sent_id=1)])],
        [REF, REF | dict(sentences=[dict(sent="a dog")])],
    ],
)
def test_refs_of_another_structure(tmp_path, content):
    for name, data in [("refs.p", pickle.dumps(content)), ("grefs.json", json.dumps(content).encode())]:
        path = tmp_path / name
        path.write_bytes(data)
        with pytest.raises(DataError) as caught:
            load_refs(path)
        assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    "content",
    [
        [],
        {"images": []},
        {"annotations": []},
        {"images": 3, "annotations": []},
        {"images": [5], "annotations": []},
        {"images": [], "annotations": [{"image_id": 5}]},
        {"images": [{"id": 1, "height": 5, "width": 5}], "annotations": []},
        {"images": [{"id": 1, "height": 5, "file_name": "a.jpg"}], "annotations": []},
    ],
)
def test_instances_of_another_structure(tmp_path, content):
    path = tmp_path / "instances.json"
    path.write_text(json.dumps(content))
    with pytest.raises(DataError) as caught:
        load_instances(path)
    assert str(path) in str(caught.value)


def test_both_files_are_read_by_id_and_in_order(refer_root):
    files = load_refer(
        ann_file=refer_root / "refcoco/instances.json", split_file=refer_root / "refcoco/refs(unc).p"
    )
    assert {i: (image["width"], image["height"]) for i, image in files.images.items()} == {
        11: (40, 30),
        7: (25, 50),
        30: (64, 48),
    }
    assert sorted(files.annotations) == [101, 102, 201, 202, 301, 302]
    assert files.annotations[201]["segmentation"]["counts"] == [100, 150, 1000]
    assert [ref["ref_id"] for ref in files.refs] == [1, 2, 3, 4, 5, 6, 7]
    assert files.splits() == ["val", "testA", "train"]


@pytest.mark.parametrize(
    ("ann_id", "ids"), [(7, (7,)), ([7], (7,)), ([9, 7], (7, 9)), ([-1], ()), (-1, ()), ([], ()), (0, (0,))]
)
def test_annotation_ids(ann_id, ids):
    assert annotation_ids(dict(ann_id=ann_id)) == ids
