from dataclasses import fields

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from mmseg_mllm.models.backbones.sequence_layout import Branch, pack

IMAGE = 9
LAYOUT = dict(
    prefix=[1, 9, 9, 2],
    branches=[
        [Branch(ids=[4, 5, 6], slots=[2], answer_start=1), Branch(ids=[7, 8], slots=[2])],
        [Branch(ids=[4, 5], slots=[1], answer_start=1)],
    ],
    image_token_id=IMAGE,
)


def test_ids_and_positions_stand_in_one_row_without_padding():
    layout = pack(**LAYOUT)
    assert layout.input_ids.tolist() == [1, 9, 9, 2, 1, 9, 9, 2, 4, 5, 6, 7, 8, 4, 5]
    assert layout.position_ids.tolist() == [[0, 1, 2, 3, 0, 1, 2, 3, 4, 5, 6, 4, 5, 4, 5]]
    assert layout.image_positions.tolist() == [[1, 2], [5, 6]]


def test_branches_by_image_and_token():
    grid = pack(**LAYOUT).grid
    assert (grid.images, grid.prefix_length, grid.start) == (2, 4, 8)
    assert grid.image.tolist() == [0, 0, 1]
    assert grid.tokens.tolist() == [[8, 9, 10], [11, 12, 12], [13, 14, 14]]
    # Taking the grid's cells of the grid's tokens gives the row's branches back.
    assert grid.tokens.flatten()[grid.cells].tolist() == list(range(8, 15))


def test_slots_and_answers_are_read_one_token_before():
    layout = pack(**LAYOUT)
    assert layout.slot_images.tolist() == [0, 0, 1]
    assert layout.slot_reads.tolist() == [9, 12, 13]
    assert layout.answer_reads.tolist() == [8, 9, 13]
    assert layout.answer_ids.tolist() == [5, 6, 5]


def test_answers_weigh_the_same_per_branch():
    weights = pack(**LAYOUT).answer_weights
    assert weights.tolist() == pytest.approx([1 / 6, 1 / 6, 1 / 3])


def test_mask_of_a_branch_by_its_definition():
    mask = pack(**LAYOUT).grid.mask()
    assert mask.shape == (1, 1, 3, 7)
    for query in range(3):
        for key in range(7):
            assert mask[0, 0, query, key].item() == (key < 4 or key - 4 <= query)


@pytest.mark.parametrize(("both_ways", "reads"), [(False, [[0, 1], [4, 5]]), (True, [[1, 2], [5, 6]])])
def test_an_image_that_is_seen_both_ways_is_read_where_it_stands(both_ways, reads):
    layout = pack(**LAYOUT, both_ways=both_ways)
    assert layout.image_reads.tolist() == reads
    mask = layout.grid.prefix_mask()
    seen = [[1, 0, 0, 0], [1, 1, 1, 0], [1, 1, 1, 0], [1, 1, 1, 1]]
    assert (mask is None) != both_ways
    assert not both_ways or mask.int().tolist() == [[seen]]


@pytest.mark.parametrize(
    "wrong",
    [dict(ids=[1, 2], slots=[]), dict(ids=[1, 2], slots=[0]), dict(ids=[1, 2], slots=[1], answer_start=0)],
)
def test_branch_without_question_or_slot_is_refused(wrong):
    with pytest.raises(ValueError, match="question"):
        Branch(**wrong)


def test_nothing_supervised_leaves_empty_answers():
    layout = pack(prefix=[9], branches=[[Branch(ids=[1], slots=[1])]], image_token_id=IMAGE)
    assert layout.answer_ids.shape == layout.answer_reads.shape == (0,)
    assert torch.is_floating_point(layout.answer_weights)


def test_prefixes_alone():
    layout = pack(prefix=[1, 9], branches=[[], []], image_token_id=IMAGE)
    assert layout.input_ids.tolist() == [1, 9, 1, 9]
    assert layout.grid.tokens.shape == (0, 0)
    assert layout.grid.mask().shape == (1, 1, 0, 2)


def test_another_device_gets_the_same_numbers():
    layout = pack(**LAYOUT)
    moved = layout.to("cpu:0")  # equal to "cpu" for torch, but by name another
    names = [f.name for f in fields(layout) if isinstance(getattr(layout, f.name), torch.Tensor)]
    for record, other, own in (
        (layout, moved, names),
        (layout.grid, moved.grid, ["image", "tokens", "cells"]),
    ):
        for name in own:
            one, two = getattr(record, name), getattr(other, name)
            assert one.dtype == two.dtype
            assert torch.equal(one, two), name
    assert (moved.grid.images, moved.grid.prefix_length) == (2, 4)
    empty = pack(prefix=[1, 9], branches=[[]], image_token_id=IMAGE).to("meta")
    assert (empty.slot_reads.shape, empty.grid.tokens.shape) == ((0,), (0, 0))


def test_it_moves_in_one_copy():
    class Copies(TorchDispatchMode):
        count = 0

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            self.count += func is torch.ops.aten._to_copy.default
            return func(*args, **(kwargs or {}))

    layout = pack(**LAYOUT)
    with Copies() as copies:
        layout.to("meta")
    assert copies.count == 1
    with Copies() as copies:
        layout.to("cpu")
    assert copies.count == 0
