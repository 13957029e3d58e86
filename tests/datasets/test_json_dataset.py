import copy
import json
import pickle

import numpy as np
import pytest
from mmengine.registry import DefaultScope
from mmseg.registry import DATASETS
from PIL import Image, ImageOps

from mmseg_mllm.datasets import (
    LoadReferringMasks,
    LoadRGBImage,
    PackReferringInputs,
    ReferringJSONDataset,
)
from mmseg_mllm.errors import DataError

CONTENT = dict(
    images=[
        dict(id=4, file_name="a.png", width=8, height=6, split="train"),
        dict(id=0, file_name="deep/b.png", width=5, height=7, split="val"),
        dict(id=9, file_name="unused.png", width=5, height=7),
    ],
    annotations=[
        dict(
            id=1,
            image_id=4,
            segmentation=[[1, 1, 4, 1, 4, 3, 1, 3]],
            bbox=[1, 1, 3, 2],
            expressions=["Left thing.", "it"],
        ),
        dict(id=0, image_id=4, segmentation=dict(size=[6, 8], counts=[42, 6]), expressions=["right edge"]),
        dict(id=2, image_id=0, segmentation=dict(size=[7, 5], counts="03d0"), expressions=[]),
    ],
    groups=[
        dict(image_id=4, ann_ids=[1, 0], expressions=["both"]),
        dict(image_id=0, ann_ids=[], expressions=["a zebra", "nobody"]),
        dict(image_id=0, ann_ids=[2], expressions=["all"], split="train"),
    ],
)


@pytest.fixture
def load(tmp_path):
    """Write a JSON, with changes made to it, and read it as a dataset."""
    for image in CONTENT["images"][:2]:
        path = tmp_path / "mine" / image["file_name"]
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.zeros((image["height"], image["width"], 3), dtype=np.uint8)).save(path)

    def run(change=None, *, file="annotations.json", **kwargs):
        content = copy.deepcopy(CONTENT)
        changed = change(content) if change else None
        content = content if changed is None else changed
        text = content if isinstance(content, str) else json.dumps(content)
        (tmp_path / "mine" / file).write_text(text, encoding="utf-8")
        settings = dict(data_root=str(tmp_path / "mine"), ann_file=file, serialize_data=False)
        return ReferringJSONDataset(**settings | kwargs)

    return run


def samples_of(dataset):
    return [dataset.get_data_info(i) for i in range(len(dataset))]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_masks_drawn_on_the_upright_image_lie_on_the_object(tmp_path, orientation):
    """The object is red, and its mask is drawn on what a viewer shows."""
    pixels = np.full((60, 60, 3), 200, np.uint8)
    pixels[:15, :22] = (200, 0, 0)
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(pixels).save(tmp_path / "a.png", exif=exif)
    with Image.open(tmp_path / "a.png") as image:
        seen = np.array(ImageOps.exif_transpose(image))
    y, x = np.nonzero(seen[..., 1] == 0)
    left, top, right, bottom = int(x.min()), int(y.min()), int(x.max()) + 1, int(y.max()) + 1
    corners = [left, top, right, top, right, bottom, left, bottom]
    content = dict(
        images=[dict(id=1, file_name="a.png", width=60, height=60)],
        annotations=[dict(id=1, image_id=1, segmentation=[corners], expressions=["red"])],
    )
    (tmp_path / "train.json").write_text(json.dumps(content))
    pipeline = [LoadRGBImage(), LoadReferringMasks(), PackReferringInputs()]
    settings = dict(data_root=str(tmp_path), ann_file="train.json", pipeline=pipeline)
    sample = ReferringJSONDataset(**settings)[0]
    mask = sample["data_samples"].gt_instances.masks[0].numpy()
    assert np.array_equal(sample["inputs"].numpy()[1] == 0, mask)
    as_stored = ReferringJSONDataset(**settings, upright=False)[0]
    assert np.array_equal(as_stored["inputs"].numpy().transpose(1, 2, 0), pixels)


def drop_splits(content):
    for record in [*content["images"], *content["groups"]]:
        record.pop("split", None)


def test_a_sample_is_an_image_with_its_annotations_expressions_then_its_groups(load, tmp_path):
    four, zero = samples_of(load(split="train"))
    four.pop("sample_idx")
    assert four == dict(
        img_path=str(tmp_path / "mine/a.png"),
        img_id=4,
        height=6,
        width=8,
        upright=True,
        dataset="mine",
        split="train",
        annotations={
            1: dict(segmentation=[[1, 1, 4, 1, 4, 3, 1, 3]], bbox=[1, 1, 3, 2], area=None, category_id=None),
            0: dict(segmentation=dict(size=[6, 8], counts=[42, 6]), bbox=None, area=None, category_id=None),
        },
        expressions=[
            dict(text="Left thing.", sent_id=1, ref_id=1, ann_ids=(1,)),
            dict(text="it", sent_id=2, ref_id=1, ann_ids=(1,)),
            dict(text="right edge", sent_id=3, ref_id=2, ann_ids=(0,)),
            dict(text="both", sent_id=4, ref_id=3, ann_ids=(0, 1)),
        ],
    )
    assert (zero["img_path"], zero["split"]) == (str(tmp_path / "mine/deep/b.png"), "train")
    assert [e["text"] for e in zero["expressions"]] == ["all"]


def test_targets_are_one_several_or_none(load):
    four, zero = samples_of(load(split="train"))[0], samples_of(load(split="val"))[0]
    four, zero = (LoadReferringMasks()(s | dict(ori_shape=(s["height"], s["width"]))) for s in (four, zero))
    assert [mask.sum() for mask in four["gt_masks"]] == [6, 6, 6, 12]
    assert not zero["gt_masks"].any()
    assert [e["ann_ids"] for e in zero["expressions"]] == [(), ()]


def test_one_split_or_several(load):
    assert [s["split"] for s in samples_of(load(split=["val", "train"]))] == ["val", "train", "train"]


def test_a_file_without_splits_is_one_named_after_it(load):
    dataset = load(drop_splits, file="training.json")
    assert {s["split"] for s in samples_of(dataset)} == {"training"}
    assert samples_of(dataset) == samples_of(load(drop_splits, file="training.json", split="training"))
    with pytest.raises(DataError, match=r"training\.json: no split 'val'; it has training"):
        load(drop_splits, file="training.json", split="val")


def test_split_may_be_left_out_where_there_is_one(load):
    def only_train(content):
        content["images"][1]["split"] = "train"

    assert samples_of(load(only_train)) == samples_of(load(only_train, split="train"))
    with pytest.raises(DataError, match=r"annotations\.json: holds the splits train, val; say in the config"):
        load()


@pytest.mark.parametrize("split", ["test", ["val", "test"], ""])
def test_unknown_split_lists_those_there_are(load, split):
    with pytest.raises(DataError, match=r"annotations\.json: no split '(test|)'; it has train, val"):
        load(split=split)


def test_given_ids_are_kept_and_the_others_counted_on(load):
    def number(content):
        content["groups"][1].update(id=70, sent_ids=[31, 30])

    zero, four, _ = samples_of(load(number, split=["val", "train"]))
    assert [(e["ref_id"], e["sent_id"]) for e in zero["expressions"]] == [(70, 31), (70, 30)]
    numbers = [(e["ref_id"], e["sent_id"]) for e in four["expressions"]]
    assert numbers == [(71, 32), (71, 33), (72, 34), (73, 35)]


def test_optional_fields_may_be_null_and_others_are_left_alone(load):
    def change(content):
        content["images"][2]["split"] = content["annotations"][2]["expressions"] = None
        content["groups"][0].update(id=None, split=None, sent_ids=None, note="hello")
        content["info"] = dict(year=2025)

    assert samples_of(load(change, split="train")) == samples_of(load(split="train"))
    assert len(load(lambda content: content.update(groups=None), split="train")) == 1


def test_built_from_the_registry_of_mmseg_and_pickled(load, tmp_path):
    expected = samples_of(load(split="train"))
    with DefaultScope.overwrite_default_scope("mmseg"):
        dataset = DATASETS.build(
            dict(
                type="ReferringJSONDataset",
                ann_file=str(tmp_path / "mine/annotations.json"),
                data_prefix=dict(img_path=str(tmp_path / "mine")),
                split="train",
            )
        )
    assert samples_of(pickle.loads(pickle.dumps(dataset))) == expected


def test_dataset_name_is_the_folder_or_as_given(load, tmp_path, monkeypatch):
    assert samples_of(load(split="val", dataset_name="own"))[0]["dataset"] == "own"
    monkeypatch.chdir(tmp_path / "mine")
    assert samples_of(load(split="val", data_root=""))[0]["dataset"] == "mine"


def test_a_byte_order_mark_is_no_matter(load):
    dataset = load(lambda content: "\ufeff" + json.dumps(content), split="train")
    assert samples_of(dataset) == samples_of(load(split="train"))


def test_file_that_is_not_there(load, tmp_path):
    with pytest.raises(DataError, match=r"nothing\.json: no such file"):
        load(ann_file="nothing.json")
    with pytest.raises(DataError, match="nowhere: the data folder does not exist"):
        load(data_root=str(tmp_path / "nowhere"))


@pytest.mark.parametrize("text", ["", "{", '{"images": [}', "[" * 100_000, "\x00"])
def test_broken_json(load, text):
    with pytest.raises(DataError, match=r"annotations\.json: can't be read as JSON") as caught:
        load(lambda _: text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [[], "5", '"x"', dict(images=[]), dict(images={}, annotations=[])])
def test_json_of_something_else(load, content):
    with pytest.raises(DataError, match=r"annotations\.json: has no list `(images|annotations)`"):
        load(lambda _: content)


def put(kind, index, **fields):
    def change(content):
        content[kind][index].update(fields)

    return change


def drop(kind, index, field):
    def change(content):
        content[kind][index].pop(field)

    return change


@pytest.mark.parametrize(
    ("kind", "index", "field", "place"),
    [
        ("images", 1, "file_name", "image 0"),
        ("images", 2, "width", "image 9"),
        ("images", 0, "height", "image 4"),
        ("images", 2, "id", r"image number 2 \(from 0\)"),
        ("annotations", 1, "image_id", "annotation 0"),
        ("annotations", 2, "segmentation", "annotation 2"),
        ("annotations", 0, "id", r"annotation number 0 \(from 0\)"),
        ("groups", 1, "image_id", r"group number 1 \(from 0\)"),
        ("groups", 2, "ann_ids", r"group number 2 \(from 0\)"),
        ("groups", 0, "expressions", r"group number 0 \(from 0\)"),
    ],
)
def test_a_field_that_is_lacking(load, kind, index, field, place):
    with pytest.raises(DataError, match=rf"annotations\.json: {place} has no `{field}`"):
        load(drop(kind, index, field))


@pytest.mark.parametrize(
    ("kind", "index", "fields"),
    [
        ("images", 0, dict(id="a")),
        ("images", 0, dict(id=-1)),
        ("images", 0, dict(width=8.0)),
        ("images", 0, dict(height=0)),
        ("images", 0, dict(file_name="")),
        ("images", 0, dict(split=["train"])),
        ("annotations", 0, dict(id=True)),
        ("annotations", 0, dict(image_id="4")),
        ("annotations", 0, dict(segmentation="1 2 3")),
        ("annotations", 0, dict(expressions="it")),
        ("groups", 0, dict(ann_ids=1)),
        ("groups", 0, dict(ann_ids=[-1])),
        ("groups", 0, dict(ann_ids=[None])),
        ("groups", 0, dict(sent_ids=["1"])),
        ("groups", 0, dict(id="first")),
        ("groups", 0, dict(split="")),
    ],
)
def test_a_field_of_another_kind(load, kind, index, fields):
    (field,) = fields
    with pytest.raises(DataError, match=rf"annotations\.json: \w+ .*: `{field}` must be "):
        load(put(kind, index, **fields))


@pytest.mark.parametrize("kind", ["images", "annotations", "groups"])
@pytest.mark.parametrize("record", [None, 5, [], "text"])
def test_a_record_that_is_none(load, kind, record):
    with pytest.raises(DataError, match=r"number 1 \(from 0\) is not a record"):
        load(lambda content: content[kind].insert(1, record))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (put("images", 1, id=4), "image 4 is there twice"),
        (put("annotations", 1, id=1), "annotation 1 is there twice"),
        (lambda c: [group.update(id=5) for group in c["groups"]] and None, "group id 5 is there twice"),
        (put("groups", 1, sent_ids=[6, 6]), "number in `sent_ids` 6 is there twice"),
        (put("annotations", 2, image_id=77), "annotation 2 names image 77"),
        (put("groups", 0, image_id=77), r"group number 0 \(from 0\) names image 77"),
        (put("groups", 0, id=3, ann_ids=[1, 77]), "group 3 names annotation 77"),
        (
            put("groups", 0, id=3, ann_ids=[1, 2]),
            "group 3 is about image 4, but its annotation 2 is of image 0",
        ),
        (
            put("groups", 0, id=3, ignore_ids=[2]),
            "group 3 is about image 4, but its annotation 2 is of image 0",
        ),
        (put("groups", 0, id=3, ignore_ids=[77]), "group 3 names annotation 77"),
        (put("groups", 0, id=3, ignore_ids=1), "`ignore_ids` must be a list of annotation ids, not 1"),
        (put("groups", 0, id=3, sent_ids=[1, 2]), "group 3 has 1 expressions, but 2 `sent_ids`"),
        (put("groups", 0, id=3, expressions=[]), "group 3 has no expressions"),
        (drop("images", 0, "split"), "image 4 has expressions but no `split`"),
        (put("annotations", 0, expressions=["it", "."]), r"annotation 1 \(image 4\).*no words: '\.'"),
        (put("annotations", 0, expressions=["it", 5]), r"annotation 1 \(image 4\).*no words: 5"),
        (put("annotations", 1, expressions=["the [seg]"]), r"annotation 0 \(image 4\).*holds \[SEG\]"),
        (put("annotations", 1, id=2**53 + 1), "whole number from 0"),
        (put("images", 1, width=10**9), "image 0 has [0-9,]+ pixels, the bound is 50,000,000"),
        (put("annotations", 1, expressions=["it</s>"]), r"annotation 0 \(image 4\).*holds </s>"),
        (put("annotations", 1, expressions=["it \ud83d"]), r"annotation 0 \(image 4\).*half of a character"),
        (put("annotations", 1, expressions=["x" * 10_001]), "annotation 0 has 10,001 characters, the bound"),
        (put("annotations", 1, segmentation=[[]]), r"annotation 0 \(image 4\) is empty"),
        (put("annotations", 1, segmentation=[[[1, 1], [9, 1], [9, 9]]]), "annotation 0 .* made of points"),
        (put("annotations", 1, segmentation=[1, 1, 9, 1, 9, 9]), "annotation 0 .* one list of numbers"),
        (put("groups", 1, expressions=[" "]), r"group number 1 \(from 0\) \(image 0\).*no words"),
    ],
)
def test_contradictions_are_told_whichever_split_is_read(load, change, message):
    with pytest.raises(DataError, match=rf"mine/annotations\.json: .*{message}") as caught:
        load(change, split="val")
    assert "\n" not in str(caught.value)


def test_a_file_without_expressions(load):
    def change(content):
        for annotation in content["annotations"]:
            annotation.pop("expressions")
        content.pop("groups")

    with pytest.raises(DataError, match=r"annotations\.json: holds no expressions"):
        load(change)


@pytest.mark.parametrize(("says", "asks"), [(True, False), (False, True)])
def test_a_config_that_contradicts_what_the_file_says_of_turned_images(load, says, asks):
    def change(content):
        content["info"] = dict(upright=says)

    assert samples_of(load(change, split="train"))[0]["upright"] is says
    assert samples_of(load(change, split="train", upright=says))[0]["upright"] is says
    with pytest.raises(DataError, match=rf"`upright` {str(says).lower()}.*config has upright={asks}"):
        load(change, split="train", upright=asks)
    with pytest.raises(DataError, match=r"`info\.upright` must be true or false, not 'yes'"):
        load(lambda content: content.update(info=dict(upright="yes")), split="train")


def test_pixels_that_are_not_counted_go_through_the_pipeline(load):
    def change(content):
        content["groups"][0].update(ann_ids=[1], ignore_ids=[0])
        content["annotations"][0]["ignore_ids"] = [77]  # another field of an annotation: left alone

    pipeline = [
        dict(type="LoadRGBImage"),
        dict(type="LoadReferringMasks"),
        dict(type="ResizeToInput", size=24),
        dict(type="PackReferringInputs"),
    ]
    with DefaultScope.overwrite_default_scope("mmseg"):
        dataset = load(change, split="train", pipeline=pipeline)
    sample = dataset[0]["data_samples"]
    ignored = sample.gt_instances.ignored.numpy()
    expected = np.zeros((4, 24, 24), bool)
    expected[sample.expressions.index("both"), :, 21:] = True  # the last of 8 columns
    np.testing.assert_array_equal(ignored, expected)
    assert sample.gt_instances.masks.shape == ignored.shape
    with DefaultScope.overwrite_default_scope("mmseg"):
        plain = load(split="train", pipeline=pipeline)[0]["data_samples"]
    assert "ignored" not in plain.gt_instances
