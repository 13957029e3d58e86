import json
import pickle
from pathlib import Path

import pytest
from mmengine.registry import DefaultScope
from mmseg.registry import DATASETS

from mmseg_mllm.datasets import GRefCOCODataset, LoadReferringMasks, RefCOCODataset
from mmseg_mllm.errors import DataError

REFCOCO = dict(ann_file="refcoco/instances.json", split_file="refcoco/refs(unc).p")
GREFCOCO = dict(ann_file="grefcoco/instances.json", split_file="grefcoco/grefs(unc).json")
REAL = ["refs(umd).p", "refs(google).p"]


def dataset_of(root: Path, split: str | list[str] = "val", **changes) -> RefCOCODataset:
    files = dict(REFCOCO, data_root=str(root), data_prefix=dict(img_path="images"), split=split)
    return RefCOCODataset(**(files | dict(serialize_data=False) | changes))


def gref_dataset_of(root: Path, split: str | list[str] = "val") -> GRefCOCODataset:
    files = dict(GREFCOCO, data_root=str(root), data_prefix=dict(img_path="images"), split=split)
    return GRefCOCODataset(**files, serialize_data=False)


def samples_of(dataset: RefCOCODataset) -> list[dict]:
    return [dataset.get_data_info(i) for i in range(len(dataset))]


def rewrite(root: Path, change) -> None:
    """Apply ``change(refs, instances)`` to the RefCOCO files."""
    refs_file, instances_file = root / REFCOCO["split_file"], root / REFCOCO["ann_file"]
    refs, instances = pickle.loads(refs_file.read_bytes()), json.loads(instances_file.read_text())
    change(refs, instances)
    refs_file.write_bytes(pickle.dumps(refs))
    instances_file.write_text(json.dumps(instances))


def test_a_sample_is_an_image_with_all_refs_and_sentences(refer_root):
    eleven, seven = samples_of(dataset_of(refer_root))
    assert eleven.pop("annotations").keys() == {101, 102}
    eleven.pop("sample_idx")
    assert eleven == dict(
        img_path=str(refer_root / "images/COCO_train2014_000000000011.jpg"),
        img_id=11,
        height=30,
        width=40,
        upright=False,
        dataset="refcoco",
        split="val",
        expressions=[
            dict(text="left man", sent_id=1, ref_id=1, ann_ids=(101,)),
            dict(text="Man in red.", sent_id=2, ref_id=1, ann_ids=(101,)),
            dict(text="guy on the left", sent_id=9, ref_id=3, ann_ids=(101,)),
            dict(text="woman", sent_id=4, ref_id=4, ann_ids=(102,)),
            dict(text="the two things on the right", sent_id=5, ref_id=4, ann_ids=(102,)),
        ],
    )
    assert (seven["img_id"], seven["height"], seven["width"]) == (7, 50, 25)
    assert [e["text"] for e in seven["expressions"]] == ["the dog"]
    assert seven["annotations"][201]["bbox"] == [2, 0, 3, 50]
    assert seven["annotations"][201]["segmentation"] == dict(size=[50, 25], counts=[100, 150, 1000])


def test_image_path_comes_from_the_image_id(refer_root):
    def change(refs, instances):
        refs[0]["file_name"] = "COCO_train2014_000000000030_1.jpg"
        for image in instances["images"]:
            image["file_name"] = f"folder/{image['id']}.png"

    rewrite(refer_root, change)
    paths = [sample["img_path"] for sample in samples_of(dataset_of(refer_root))]
    assert paths == [str(refer_root / "images/folder/11.png"), str(refer_root / "images/folder/7.png")]


def test_order_is_that_of_the_refs_file(refer_root):
    def reverse(refs, instances):
        refs.reverse()
        instances["images"].sort(key=lambda image: image["id"])
        instances["annotations"].reverse()

    def order():
        return [
            (s["img_id"], [e["sent_id"] for e in s["expressions"]])
            for s in samples_of(dataset_of(refer_root))
        ]

    assert order() == order() == [(11, [1, 2, 9, 4, 5]), (7, [3])]
    rewrite(refer_root, reverse)
    assert order() == [(11, [4, 5, 9, 1, 2]), (7, [3])]
    rewrite(refer_root, lambda refs, _: refs.sort(key=lambda ref: ref["image_id"]))
    assert order() == [(7, [3]), (11, [4, 5, 9, 1, 2])]


def test_one_split_or_several(refer_root):
    def ids(split):
        return [
            (s["split"], s["img_id"], len(s["expressions"]))
            for s in samples_of(dataset_of(refer_root, split))
        ]

    assert ids("testA") == ids(["testA"]) == [("testA", 7, 1)]
    assert ids("train") == [("train", 30, 3)]
    assert ids(["val", "testA"]) == [("val", 11, 5), ("val", 7, 1), ("testA", 7, 1)]
    assert ids(("testA", "val")) == [("testA", 7, 1), ("val", 11, 5), ("val", 7, 1)]


@pytest.mark.parametrize("split", ["test", ["val", "test"], "va", ""])
def test_unknown_split_lists_those_there_are(refer_root, split):
    with pytest.raises(DataError, match=r"refs\(unc\)\.p.*val, testA, train"):
        dataset_of(refer_root, split)


def test_dataset_name_is_the_folder_or_as_given(refer_root):
    assert samples_of(gref_dataset_of(refer_root))[0]["dataset"] == "grefcoco"
    assert samples_of(dataset_of(refer_root, dataset_name="mine"))[0]["dataset"] == "mine"


def test_built_from_the_registry_of_mmseg_with_absolute_paths(refer_root):
    with DefaultScope.overwrite_default_scope("mmseg"):
        dataset = DATASETS.build(
            dict(
                type="RefCOCODataset",
                ann_file=str(refer_root / REFCOCO["ann_file"]),
                split_file=str(refer_root / REFCOCO["split_file"]),
                data_prefix=dict(img_path=str(refer_root / "images")),
                split="val",
            )
        )
    assert samples_of(dataset) == samples_of(dataset_of(refer_root))


def test_data_folder_that_is_not_there(tmp_path):
    with pytest.raises(DataError) as caught:
        dataset_of(tmp_path / "nowhere")
    assert str(tmp_path / "nowhere") in str(caught.value)
    assert "data_root" in str(caught.value)


@pytest.mark.parametrize("file", [REFCOCO["ann_file"], REFCOCO["split_file"]])
def test_files_that_are_not_there(refer_root, file):
    (refer_root / file).unlink()
    with pytest.raises(DataError) as caught:
        dataset_of(refer_root)
    assert str(refer_root / file) in str(caught.value)


def test_ref_to_an_image_that_is_not_there(refer_root):
    rewrite(refer_root, lambda _, instances: instances["images"].pop(1))
    with pytest.raises(DataError, match="ref 2 names image 7,"):
        dataset_of(refer_root)
    assert [s["img_id"] for s in samples_of(dataset_of(refer_root, "train"))] == [30]


def test_ref_to_an_annotation_that_is_not_there(refer_root):
    rewrite(refer_root, lambda _, instances: instances["annotations"].pop(1))
    with pytest.raises(DataError, match="ref 4 names annotation 102,"):
        dataset_of(refer_root)


def test_ref_to_an_annotation_of_another_image(refer_root):
    rewrite(refer_root, lambda refs, _: refs[0].update(ann_id=201))
    with pytest.raises(DataError, match=r"ref 1 is about image 11.*annotation 201.*image 7"):
        dataset_of(refer_root)


@pytest.mark.parametrize("text", ["", " ", " .", "?!", "...", "\t\n", "-", None, 5])
def test_expression_without_words(refer_root, text):
    rewrite(refer_root, lambda refs, _: refs[3]["sentences"][1].update(sent=text))
    with pytest.raises(DataError, match="sentence 5 of ref 4"):
        dataset_of(refer_root)


@pytest.mark.parametrize("text", ["2", "\u5de6\u8fb9\u7684\u4eba", "A.", "Man, in red!", " x "])
def test_expression_with_any_word_is_kept_as_written(refer_root, text):
    rewrite(refer_root, lambda refs, _: refs[3]["sentences"][1].update(sent=text))
    assert samples_of(dataset_of(refer_root))[0]["expressions"][-1]["text"] == text


@pytest.mark.parametrize("ann_id", [-1, [-1], []])
def test_no_target_is_for_grefcoco_only(refer_root, ann_id):
    rewrite(refer_root, lambda refs, _: refs[2].update(ann_id=ann_id))
    with pytest.raises(DataError, match=r"ref 3 has no target.*GRefCOCODataset"):
        dataset_of(refer_root)


def test_refs_without_sentences_ask_nothing(refer_root):
    path = refer_root / "grefcoco" / "grefs(unc).json"
    refs = json.loads(path.read_text())
    before = val_samples(refer_root, GRefCOCODataset, "grefcoco", "grefs(unc).json")
    extra = [dict(refs[0], ref_id=90, sentences=[]), dict(refs[4], ref_id=91, split="val", sentences=[])]
    path.write_text(json.dumps([extra[0], *refs, extra[1]]))
    assert val_samples(refer_root, GRefCOCODataset, "grefcoco", "grefs(unc).json") == before


@pytest.mark.parametrize(
    ("shape", "reason"),
    [
        ([], "is empty"),
        ([[]], "is empty"),
        ({}, "is empty"),
        ([[10, 10, 40, 30]], "three points"),
    ],
)
def test_a_shape_of_no_pixel_as_grefcoco_has(refer_root, shape, reason):
    for name in ("refcoco", "grefcoco"):
        path = refer_root / name / "instances.json"
        content = json.loads(path.read_text())
        content["annotations"][0]["segmentation"] = shape
        path.write_text(json.dumps(content))
    with pytest.raises(DataError, match=rf"segmentation of annotation 101 \(image 11\).*{reason}"):
        val_samples(refer_root, RefCOCODataset, "refcoco", "refs(unc).p")
    assert val_samples(refer_root, GRefCOCODataset, "grefcoco", "grefs(unc).json")


@pytest.mark.parametrize(
    ("shape", "reason"),
    [
        ([[0.15, 0.2, 0.6, 0.2, 0.6, 0.6]], "between 0 and 1"),
        ([[-0.001, 0.2, 1.002, 0.2, 0.6, 0.6]], "between 0 and 1"),
        ([[1, 1], [9, 1], [9, 9]], r"made of points \[x, y\]; a polygon is one flat list"),
        ([1, 1, 9, 1, 9, 9], "one list of numbers"),
        ([0, 0, 9, 9], "one list of numbers"),
        ([[[1, 1], [9, 1], [9, 9]]], r"but \[\[\[1, 1\], \[9, 1\], \[9, 9\]\]\]"),
        ([dict(x=1, y=1), dict(x=9, y=1), dict(x=9, y=9)], "made of points"),
        (dict(size=[24, 32]), "lacks `size` or `counts`"),
        ("1 1 9 1 9 9", "neither polygons nor an RLE, but 1 1 9 1 9 9"),
        (5, "neither polygons nor an RLE, but 5"),
    ],
)
@pytest.mark.parametrize(
    ("kind", "name", "refs"),
    [(RefCOCODataset, "refcoco", "refs(unc).p"), (GRefCOCODataset, "grefcoco", "grefs(unc).json")],
)
def test_a_shape_that_is_a_mistake(refer_root, shape, reason, kind, name, refs):
    path = refer_root / name / "instances.json"
    content = json.loads(path.read_text())
    content["annotations"][0]["segmentation"] = shape
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match=rf"segmentation of annotation 101 \(image 11\).*{reason}"):
        val_samples(refer_root, kind, name, refs)


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_half_of_a_character_is_told_with_its_sentence(refer_root, protocol):
    rewrite(refer_root, lambda refs, _: refs[0]["sentences"][0].update(sent="a dog \ud83d"))
    path = refer_root / "refcoco" / "refs(unc).p"
    path.write_bytes(pickle.dumps(pickle.loads(path.read_bytes()), protocol=protocol))
    with pytest.raises(DataError, match=r"of ref 1 \(image 11\) holds half of a character"):
        dataset_of(refer_root)


def test_grefs_are_found_in_either_format(refer_root):
    """As ReLA and MLLMSeg look for both."""
    asked = "grefs(unc).json"
    samples = val_samples(refer_root, GRefCOCODataset, "grefcoco", asked)
    path = refer_root / "grefcoco" / asked
    path.with_suffix(".p").write_bytes(pickle.dumps(json.loads(path.read_text()), protocol=2))
    path.unlink()
    assert val_samples(refer_root, GRefCOCODataset, "grefcoco", asked) == samples


def val_samples(root, kind, folder, refs):
    dataset = kind(
        data_root=str(root),
        ann_file=f"{folder}/instances.json",
        split_file=f"{folder}/{refs}",
        split="val",
        data_prefix=dict(img_path="images"),
        serialize_data=False,
    )
    return [dataset.get_data_info(i) for i in range(len(dataset))]


def test_grefcoco_takes_no_target_one_and_several(refer_root):
    eleven, seven = samples_of(gref_dataset_of(refer_root))
    assert [(e["sent_id"], e["ann_ids"]) for e in eleven["expressions"]] == [
        (1, (101, 102)),
        (2, ()),
        (3, ()),
        (4, (101,)),
    ]
    assert eleven["annotations"].keys() == {101, 102}
    assert seven["annotations"].keys() == {201, 202}
    (only_empty,) = samples_of(gref_dataset_of(refer_root, "train"))
    assert only_empty["annotations"] == {}
    assert [e["ann_ids"] for e in only_empty["expressions"]] == [()]


def read_real(root: Path, file: str) -> tuple[list[dict], list[dict]]:
    """Refs of all splits of a real file, read plainly, and the dataset's samples."""
    refs = pickle.loads((root / "refcocog" / file).read_bytes())
    files = dict(ann_file="refcocog/instances.json", split_file=f"refcocog/{file}")
    return refs, samples_of(dataset_of(root, sorted({ref["split"] for ref in refs}), **files))


@pytest.mark.parametrize("file", REAL)
def test_real_sample_is_complete(real_root, file):
    refs, samples = read_real(real_root, file)
    expected = {
        (r["split"], r["image_id"], r["ref_id"], sentence["sent_id"], sentence["sent"], (r["ann_id"],))
        for r in refs
        for sentence in r["sentences"]
    }
    assert len(expected) == len(samples) == 2
    assert expected == {
        (s["split"], s["img_id"], e["ref_id"], e["sent_id"], e["text"], e["ann_ids"])
        for s in samples
        for e in s["expressions"]
    }
    assert all(Path(sample["img_path"]).is_file() for sample in samples)


@pytest.mark.parametrize("file", REAL)
def test_real_targets_have_coco_s_area(real_root, file):
    _, samples = read_real(real_root, file)
    instances = json.loads((real_root / "refcocog" / "instances.json").read_text())
    areas = {annotation["id"]: annotation["area"] for annotation in instances["annotations"]}
    for sample in samples:
        sample["ori_shape"] = sample["height"], sample["width"]
        (mask,) = LoadReferringMasks()(sample)["gt_masks"]
        assert mask.sum() == pytest.approx(areas[sample["expressions"][0]["ann_ids"][0]], rel=0.01)
