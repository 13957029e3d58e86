import numpy as np
import pytest
from helpers.saved_predictions import entry, rle_of, write

from mmseg_mllm.errors import DataError
from mmseg_mllm.evaluation.comparison import most_different, paired, summary
from mmseg_mllm.evaluation.predictions import read_predictions


@pytest.fixture
def files(tmp_path):
    def make(a: list[dict], b: list[dict]):
        return read_predictions(write(tmp_path / "a.json", *a)), read_predictions(
            write(tmp_path / "b.json", *b)
        )

    return make


def test_runs_are_matched_whatever_their_order(files):
    ious = [(0.5, 0.7), (0.9, 0.1), (0.3, 0.3), (0, 1), (0.2, 0.9)]
    a, b = ([entry(sent_id=i, iou=pair[run]) for i, pair in enumerate(ious)] for run in (0, 1))
    pairs = paired(*files(a, b[::-1]))
    assert [(pair.a.iou, pair.b.iou) for pair in pairs] == ious
    found = summary(pairs)
    assert (found.expressions, found.better, found.worse, found.equal) == (5, 3, 1, 1)
    assert (found.mean_a, found.mean_b) == pytest.approx((100 * 1.9 / 5, 100 * 3.0 / 5))
    assert [pair.a.sent_id for pair in most_different(pairs, count=3)] == [3, 1, 4]
    assert len(most_different(pairs, count=9)) == 4


def test_other_expressions_are_refused(files):
    a, b = files([entry(), entry(sent_id=3)], [entry(), entry(split="testA")])
    with pytest.raises(
        DataError, match=r"^not the same test set: 1 of 2 .*a\.json.*sentence 3.*; 1 of 2 .*testA"
    ):
        paired(a, b)


@pytest.mark.parametrize("target", [None, rle_of(np.zeros((3, 4))), rle_of(np.eye(4, 3))])
def test_other_targets_are_refused(files, target):
    with pytest.raises(DataError, match=r"different masks of refcoco val image 7.*same annotations"):
        paired(*files([entry()], [entry(target=target)]))


def test_a_file_without_targets_is_refused(files):
    content = entry()
    del content["iou"], content["target"]
    with pytest.raises(DataError, match=r"b\.json: has no targets"):
        paired(*files([entry()], [content]))
