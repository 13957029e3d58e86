import json

import numpy as np
import pytest
from helpers.metric_samples import sample_of

from mmseg_mllm.errors import DataError
from mmseg_mllm.evaluation.counts import count_image
from mmseg_mllm.evaluation.figures import gres_figures, res_figures
from mmseg_mllm.evaluation.groups import (
    MORE_THAN_COLOUR,
    NO_TARGET,
    SEVERAL,
    SIZES,
    GroupedImage,
    category_groups,
    category_names,
    group_tables,
    need_groups,
    size_groups,
)
from mmseg_mllm.evaluation.needs import read_needs
from mmseg_mllm.evaluation.sums import Sums
from mmseg_mllm.tables.layout import as_text

SMALL, MEDIUM, LARGE = SIZES
NAMES = {1: "person", 7: "dog"}


def image(*areas: int, ann_ids=None, **changes):
    """Counts of masks of 100 x 100 pixels whose targets have these areas; each mask misses ten pixels."""
    gt = np.zeros((len(areas), 10_000), dtype=bool)
    for mask, area in zip(gt, areas, strict=True):
        mask[:area] = True
    pred = gt.copy()
    pred[:, :10] = False
    shape = (len(areas), 100, 100)
    more = {} if ann_ids is None else dict(ann_ids=ann_ids)
    return count_image(sample_of(pred.reshape(shape), gt.reshape(shape), **more, **changes), rotate=False)


def rows(table) -> list[list[str]]:
    lines = [line for line in as_text([table]).splitlines() if line.startswith(("│", "┃"))]
    return [[cell.strip() for cell in line.replace("┃", "│").split("│")[1:-1]] for line in lines]


def test_sizes_are_cocos():
    found = size_groups(image(32**2 - 1, 32**2, 96**2 - 1, 96**2, 0))
    assert found == [(SMALL,), (MEDIUM,), (MEDIUM,), (LARGE,), (SMALL,)]
    assert size_groups(image(50, 0, ann_ids=[(1,), ()])) == [(SMALL,), (NO_TARGET,)]


def test_categories_are_those_of_the_annotations():
    annotations = {4: dict(category_id=1), 5: dict(category_id=1), 6: dict(category_id=7)}
    sample = dict(dataset="refcoco", img_id=3, annotations=annotations)
    ids = [(4,), (6,), (4, 5), (4, 6), ()]
    found = category_groups(sample | dict(ann_ids=ids), NAMES)
    assert found == [("person",), ("dog",), ("person",), (SEVERAL,), (NO_TARGET,)]
    with pytest.raises(DataError, match=r"refcoco image 3: .* of category 7"):
        category_groups(sample | dict(ann_ids=[(6,)]), {1: "person"})


def test_names_of_categories(tmp_path):
    path = tmp_path / "instances.json"
    path.write_text(json.dumps(dict(categories=[dict(id=key, name=name) for key, name in NAMES.items()])))
    assert category_names(path) == NAMES
    path.write_text("{}")
    with pytest.raises(DataError, match=r"instances\.json: no names of categories"):
        category_names(path)


def test_a_table_has_the_figures_of_its_groups_and_of_all():
    images = [image(100, 2000, 400), image(300, 5000), image(50, split="testA")]
    grouped = [GroupedImage(counts=counts, groups=size_groups(counts)) for counts in images]
    val, test_a = group_tables(grouped, by="size", rejection="paper")
    assert str(val.title) == "refcoco val by size of the target in percent, protocol: independent, forced"
    head, small, medium, every = rows(val)
    assert head == ["size", "images", "expressions", "cIoU", "mIoU", "Pr@0.5"]
    assert small == [
        SMALL,
        "2",
        "3",
        f"{100 * 770 / 800:.2f}",
        f"{100 * (0.9 + 0.975 + 290 / 300) / 3:.2f}",
        "100.00",
    ]
    assert medium[:4] == [MEDIUM, "2", "2", f"{100 * 6980 / 7000:.2f}"]
    figures = res_figures(Sums.of(images[0]) + Sums.of(images[1]))
    assert every == ["all", "2", "5", *(f"{figures[name]:.2f}" for name in head[3:])]
    assert [row[0] for row in rows(test_a)] == ["size", SMALL, "all"]


def test_categories_stand_by_their_number_and_what_is_of_none_last():
    groups = [(name,) for name in ("dog", "cat", NO_TARGET, "zebra", SEVERAL, "cat", "ant")]
    counts = image(*range(50, 57))
    (table,) = group_tables([GroupedImage(counts=counts, groups=groups)], by="category", rejection="paper")
    names = ["category", "cat", "ant", "dog", "zebra", SEVERAL, NO_TARGET, "all"]
    assert [row[0] for row in rows(table)] == names


def test_an_expression_counts_for_every_kind_of_word_that_it_needs():
    needs = {"1": ["colour"], "2": ["colour", "size"], "3": ["near miss"]}
    ids = [(1,), (2,), ()]
    expressions = [dict(sent_id=n, ann_ids=own) for n, own in enumerate(ids, start=1)]
    sample = dict(dataset="toy", img_id=3, expressions=expressions)
    groups = need_groups(sample, needs)
    assert groups == [("colour",), ("colour", "size", MORE_THAN_COLOUR), ("near miss",)]
    with pytest.raises(DataError, match="toy image 3: sentence 2 is not in"):
        need_groups(sample, {"1": ["colour"]})
    counts = image(50, 60, 0, ann_ids=ids)
    (table,) = group_tables([GroupedImage(counts=counts, groups=groups)], by="need", rejection="paper")
    assert "kinds of words that tell the target" in table.title
    counted = {row[0]: row[2] for row in rows(table)[1:]}
    assert counted == {"colour": "2", "size": "1", MORE_THAN_COLOUR: "1", "near miss": "1", "all": "3"}


def test_needs_lie_beside_the_annotations(tmp_path):
    path = tmp_path / "instances.json"
    with pytest.raises(DataError, match=r"needs\.json: no such file"):
        read_needs(path)
    (tmp_path / "needs.json").write_text('{"7": ["colour", "place"]}')
    assert read_needs(path) == {"7": ["colour", "place"]}
    for damaged in ('["colour"]', '{"7": "colour"}', '{"7": [1]}'):
        (tmp_path / "needs.json").write_text(damaged)
        with pytest.raises(DataError, match=r"needs\.json"):
            read_needs(path)


@pytest.mark.parametrize("rejection", ["paper", "strict"])
def test_a_split_with_missing_targets_has_figures_of_gres(rejection):
    counts = image(100, 2000, 0, 0, ann_ids=[(1,), (2,), (), ()], rejected=[True, False, True, False])
    grouped = [GroupedImage(counts=counts, groups=size_groups(counts))]
    (table,) = group_tables(grouped, by="size", rejection=rejection)
    assert str(table.title).endswith(f"protocol: independent, forced, rejection: {rejection}")
    head, small, medium, none, every = rows(table)
    assert head == ["size", "images", "expressions", "gIoU", "cIoU", "N-acc", "T-acc", "Pr@0.5"]
    hit = "90.00" if rejection == "paper" else "0.00"
    assert small == [SMALL, "1", "1", hit, hit, "-", "0.00", "100.00" if rejection == "paper" else "0.00"]
    assert medium == [MEDIUM, "1", "1", "99.50", "99.50", "-", "100.00", "100.00"]
    # The predicted masks are empty, and so are both unions.
    assert none == [NO_TARGET, "1", "2", "50.00", "-", "50.00", "-", "-"]
    figures = gres_figures(Sums.of(counts), strict=rejection == "strict")
    assert every == ["all", "1", "4", *(f"{figures[name]:.2f}" for name in head[3:])]
