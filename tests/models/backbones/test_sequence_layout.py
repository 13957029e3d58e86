import pytest
import torch

from mmseg_mllm.models.backbones.sequence_layout import Branch, pack

IMAGE = 9
LAYOUT = dict(
    prefixes=[[1, 9, 9, 2], [9, 9, 3]],
    branches=[
        [Branch(ids=[4, 5, 6], slots=[2], answer_start=1), Branch(ids=[7, 8], slots=[2])],
        [Branch(ids=[4, 5], slots=[1], answer_start=1)],
    ],
    image_token_id=IMAGE,
)


def test_ids_positions_and_segments():
    layout = pack(**LAYOUT)
    assert layout.input_ids.tolist() == [[1, 9, 9, 2, 4, 5, 6, 7, 8], [9, 9, 3, 4, 5, 0, 0, 0, 0]]
    assert layout.position_ids.tolist() == [[0, 1, 2, 3, 4, 5, 6, 4, 5], [0, 1, 2, 3, 4, 0, 0, 0, 0]]
    assert layout.segment_ids.tolist() == [[0, 0, 0, 0, 1, 1, 1, 2, 2], [0, 0, 0, 1, 1, -1, -1, -1, -1]]
    assert layout.image_positions.tolist() == [[1, 2], [0, 1]]


def test_slots_and_answers_are_read_one_token_before():
    layout = pack(**LAYOUT)
    assert layout.slot_reads.tolist() == [[0, 5], [0, 8], [1, 3]]
    assert layout.answer_reads.tolist() == [[0, 4], [0, 5], [1, 3]]
    assert layout.answer_ids.tolist() == [5, 6, 5]


def test_answers_weigh_the_same_per_branch():
    weights = pack(**LAYOUT).answer_weights
    assert weights.tolist() == pytest.approx([1 / 6, 1 / 6, 1 / 3])


def test_attention_mask_by_its_definition():
    layout = pack(**LAYOUT)
    mask = layout.attention_mask()
    segments = layout.segment_ids.tolist()
    for b, row in enumerate(segments):
        for q, query in enumerate(row):
            for k, key in enumerate(row):
                sees = k <= q and (key == query or (key == 0 and query != -1))
                assert mask[b, 0, q, k].item() == sees, (b, q, k)


def test_no_row_of_the_mask_is_empty():
    assert pack(**LAYOUT).attention_mask().any(dim=-1).all()


@pytest.mark.parametrize(
    "wrong",
    [dict(ids=[1, 2], slots=[]), dict(ids=[1, 2], slots=[0]), dict(ids=[1, 2], slots=[1], answer_start=0)],
)
def test_branch_without_question_or_slot_is_refused(wrong):
    with pytest.raises(ValueError, match="question"):
        Branch(**wrong)


def test_nothing_supervised_leaves_empty_answers():
    layout = pack(prefixes=[[9]], branches=[[Branch(ids=[1], slots=[1])]], image_token_id=IMAGE)
    assert layout.answer_ids.shape == (0,)
    assert layout.answer_reads.shape == (0, 2)
    assert torch.is_floating_point(layout.answer_weights)
