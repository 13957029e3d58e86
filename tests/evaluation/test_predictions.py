import json

import numpy as np
import pytest
from helpers.saved_predictions import entry, rle_of, write

from mmseg_mllm.errors import DataError
from mmseg_mllm.evaluation.predictions import mask_of, mismatch, read_predictions


def test_entries_are_read(tmp_path):
    content = entry(), entry(sent_id=3, target=None, iou=0, upright=True)
    file = read_predictions(write(tmp_path / "a.json", *content, protocol="joint, forced"))
    assert file.protocol == "joint, forced"
    assert [vars(prediction) for prediction in file.predictions] == [
        dict(known, upright=known is content[1]) for known in content
    ]
    assert str(file.predictions[0].key) == "refcoco val image 7, ref 1, sentence 2 ('left man')"


def test_entries_of_a_test_without_annotations_are_read(tmp_path):
    content = entry()
    del content["target"], content["iou"]
    (prediction,) = read_predictions(write(tmp_path / "a.json", content)).predictions
    assert (prediction.target, prediction.iou) == (None, None)


def test_an_expression_that_was_tested_twice_keeps_both(tmp_path):
    file = read_predictions(write(tmp_path / "a.json", entry(score=1), entry(), entry(score=2, sent_id=5)))
    assert [[p.score for p in own] for own in file.by_key().values()] == [[1, 1.5], [2]]


@pytest.mark.parametrize(
    "content",
    [
        "",
        "not JSON",
        '{"protocol": "joint", "predictions": [',
        "[" * 100_000,
        "[]",
        "null",
        "{}",
        '{"protocol": "joint", "predictions": {}}',
        '{"images": [], "annotations": []}',
        '{"protocol": 3, "predictions": []}',
        '{"predictions": []}',
        '{"protocol": "joint", "predictions": [3]}',
        b"\xff\xfe\x00",
    ],
)
def test_other_files_are_refused(tmp_path, content):
    path = tmp_path / "a.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DataError, match=r"a\.json"):
        read_predictions(path)


def test_an_absent_file_is_refused(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        read_predictions(tmp_path / "a.json")


def test_several_protocols_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"several protocols \(joint, forced; paper\)"):
        read_predictions(write(tmp_path / "a.json", entry(), protocol="joint, forced; paper"))


@pytest.mark.parametrize("name", [name for name in entry() if name not in ("target", "iou")])
def test_every_needed_field_is_missed(tmp_path, name):
    content = entry()
    del content[name]
    with pytest.raises(DataError, match=rf"prediction 1 \(from 0\) has no {name}: an older"):
        read_predictions(write(tmp_path / "a.json", entry(), content))


@pytest.mark.parametrize(
    "change",
    [
        dict(dataset=None),
        dict(expression=3),
        dict(expression="\ud800"),
        dict(image_id=[1]),
        dict(sent_id={}),
        dict(image_path=7),
        dict(rejected=0),
        dict(score="1"),
        dict(bbox=[1, 2, 3]),
        dict(bbox=[0, 0, 1, "2"]),
        dict(bbox=[0, 0, 1, float("nan")]),
        dict(bbox=[0, 0, 1, 10**400]),
        dict(bbox=[-1, 0, 1, 1]),
        dict(segmentation=[1, 2]),
        dict(segmentation=dict(size=[3, 4])),
        dict(segmentation=dict(size=[3, 4], counts=[12])),
        dict(segmentation=dict(size="3x4", counts="12")),
        dict(target="none"),
        dict(iou=1.5),
        dict(iou=float("nan")),
        dict(iou="1"),
    ],
    ids=str,
)
def test_damaged_fields_are_refused(tmp_path, change):
    with pytest.raises(
        DataError, match=rf"prediction 0 \(from 0\) is damaged: {next(iter(change))} can't be"
    ):
        read_predictions(write(tmp_path / "a.json", entry(**change)))


def test_masks_are_decoded():
    mask = np.random.default_rng(0).random((5, 9)) < 0.4
    assert np.array_equal(mask_of(rle_of(mask), height=5, width=9, place="here"), mask)


@pytest.mark.parametrize("counts", ["", "0", "4", "\x00", "n", "ä", "5" * 1000, "^" * 50])
def test_damaged_counts_are_refused_before_pycocotools_sees_them(counts):
    with pytest.raises(DataError, match=r"^here: its RLE can't be read"):
        mask_of(dict(size=[3, 4], counts=counts), height=3, width=4, place="here")


@pytest.mark.parametrize("size", [[4, 3], [], [3, 4, 1], ["3", "4"]])
def test_masks_of_another_size_are_refused(size):
    with pytest.raises(DataError, match=r"^here: the mask has size .* the image \[3, 4\]"):
        mask_of(rle_of(np.eye(3, 4)) | dict(size=size), height=3, width=4, place="here")


def test_mismatches_are_counted(tmp_path):
    content = [entry(), entry(), entry(sent_id=3), entry(expression="man left")]
    keys = [p.key for p in read_predictions(write(tmp_path / "a.json", *content)).predictions]
    assert mismatch(keys, reversed(keys), names=("X", "Y")) is None
    assert mismatch(keys, keys[1:], names=("X", "Y")) == (
        "1 of 4 expressions of X are not in Y, such as refcoco val image 7, ref 1, sentence 2 ('left man')"
    )
    assert mismatch(keys[:3], keys[3:], names=("X", "Y")) == (
        "3 of 3 expressions of X are not in Y, such as refcoco val image 7, ref 1, sentence 2 ('left man'); "
        "1 of 1 expressions of Y are not in X, such as refcoco val image 7, ref 1, sentence 2 ('man left')"
    )


def test_damage_anywhere_is_told(tmp_path):
    """Whatever becomes of a byte: the file is still right, or it is refused."""
    path = write(tmp_path / "a.json", entry(), entry(sent_id=3))
    good = path.read_bytes()
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(300):
        place = rng.integers(len(good))
        path.write_bytes(good[:place] + bytes([rng.integers(256)]) + good[place + 1 :])
        try:
            for prediction in read_predictions(path).predictions:
                mask_of(prediction.segmentation, height=3, width=4, place="here")
        except DataError:
            refused += 1
    assert refused > 100
    assert json.loads(good)
