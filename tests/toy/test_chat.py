"""Questions and answers about toy scenes, checked against the layouts."""

import re

import numpy as np
import pytest

from mmseg_mllm.toy import sample_scene
from mmseg_mllm.toy.chat import KINDS, MARKS, SQUARES, scene_turns, square_labels
from mmseg_mllm.toy.vocabulary import COLOURS, SHAPES, SIZES, scene_rng


def turns_of(index: int):
    origin = dict(seed=5, split="train", index=index)
    scene = sample_scene(**origin)
    return scene, scene_turns(scene=scene, rng=scene_rng(**origin, stream="chat"))


@pytest.fixture(scope="module")
def asked():
    return [turns_of(index) for index in range(30)]


def test_same_scene_same_questions_and_every_kind_is_asked(asked):
    assert turns_of(3)[1] == asked[3][1]
    assert {turn.kind for _, turns in asked for turn in turns} == set(KINDS)


def test_counts_are_those_of_the_layout(asked):
    for scene, turns in asked:
        for turn in turns:
            if turn.kind == "count":
                words = turn.question.split()
                colours = {c for c in COLOURS if c in words}
                shapes = {s for s in SHAPES if s + "s" in words or s + "es" in words}
                counted = sum(
                    colours <= {entry.colour} and shapes <= {entry.shape} for entry in scene.objects
                )
                assert turn.answer == str(counted)


def test_a_row_lists_its_objects_with_boxes_around_their_visible_pixels(asked):
    for scene, turns in asked:
        (turn,) = (turn for turn in turns if turn.kind == "list")
        row = ("top", "middle", "bottom").index(turn.question.removeprefix("list the "))
        found = re.findall(r"(\w+) (\w+) (\w+) [a-f][1-6] (\d+) (\d+) (\d+) (\d+)", turn.answer)
        assert found or turn.answer == "nothing"
        expected = []
        for entry in sorted(scene.objects, key=lambda entry: entry.cell[1]):
            if entry.cell[0] != row:
                continue
            columns, rows = (np.flatnonzero(entry.visible.any(axis=axis)) for axis in (0, 1))
            edges = (
                columns[0] / scene.width,
                rows[0] / scene.height,
                (columns[-1] + 1) / scene.width,
                (rows[-1] + 1) / scene.height,
            )
            marks = tuple(str(int(np.rint(MARKS * edge))) for edge in edges)
            expected.append((entry.size, entry.colour, entry.shape, *marks))
        assert found == expected


def test_squares_show_the_object_that_takes_most_of_them():
    for index in range(10):
        scene, _ = turns_of(index)
        labels = square_labels(scene=scene)
        assert labels["words"].shape == (SQUARES**2, 3)
        assert labels["boxes"].shape == (SQUARES**2, 4)
        for entry in scene.objects:
            x = int(entry.centre[0] / scene.width * SQUARES)
            y = int(entry.centre[1] / scene.height * SQUARES)
            window = entry.visible[
                round(y * scene.height / SQUARES) : round((y + 1) * scene.height / SQUARES),
                round(x * scene.width / SQUARES) : round((x + 1) * scene.width / SQUARES),
            ]
            if window.mean() > 0.6:  # the others have less
                colour, shape, size = labels["words"][y * SQUARES + x]
                words = tuple(COLOURS)[colour], SHAPES[shape], SIZES[size]
                assert words == (entry.colour, entry.shape, entry.size)
        assert (labels["boxes"][labels["words"][:, 0] < 0] == 0).all()
