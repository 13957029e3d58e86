import json
import pickle
import pickletools
from pathlib import Path

import pytest

from mmseg_mllm.datasets import GRefCOCODataset, RefCOCODataset, ReferringJSONDataset
from mmseg_mllm.datasets.refer import load_refer
from mmseg_mllm.datasets.refer_conversion import json_to_refer, refer_to_json, summary
from mmseg_mllm.errors import ConfigError, DataError

FILES = [("refcoco", "refs(unc).p"), ("grefcoco", "grefs(unc).json")]


def read(root: Path, name: str) -> dict:
    return json.loads((root / name / "instances.json").read_text())


def samples(kind: type, **settings) -> list[dict]:
    dataset = kind(data_prefix=dict(img_path="images"), dataset_name="x", serialize_data=False, **settings)
    infos = [dataset.get_data_info(i) for i in range(len(dataset))]
    return [{key: value for key, value in info.items() if key != "may_cover_nothing"} for info in infos]


def check_round_trip(root: Path, folder: str, refs: str, scratch: Path) -> tuple[list[dict], list[dict]]:
    """REFER -> JSON -> REFER: instances, refs, and the samples of all splits at each station.

    Returns:
        The refs as they were and as they came back.
    """
    out, back = scratch / "all.json", scratch / "back"
    written, left_out = refer_to_json(folder=root / folder, refs=refs, out=out)
    json_to_refer(path=out, folder=back)
    assert not left_out
    assert sorted(path.name for path in scratch.iterdir()) == ["all.json", "back"]

    files = load_refer(ann_file=root / folder / "instances.json", split_file=root / folder / refs)
    new_refs = f"{refs.split('(')[0]}(custom){Path(refs).suffix}"
    returned = load_refer(ann_file=back / "instances.json", split_file=back / new_refs)
    assert read(back.parent, "back") == {
        "categories": [],
        **read(root, folder),
        "info": {**read(root, folder).get("info", {}), "upright": False},
    }
    for old, new in zip(files.refs, returned.refs, strict=True):
        for key in ("ref_id", "ann_id", "image_id", "split", "sent_ids"):
            assert new[key] == old[key]
        for old_sentence, new_sentence in zip(old["sentences"], new["sentences"], strict=True):
            assert {k: new_sentence[k] for k in ("sent", "sent_id")} == {
                k: old_sentence[k] for k in ("sent", "sent_id")
            }

    kind = GRefCOCODataset if refs.startswith("grefs") else RefCOCODataset
    assert written.splits() == files.splits()
    for split in files.splits():
        settings = dict(data_root=str(root), split=split)
        first = samples(kind, ann_file=f"{folder}/instances.json", split_file=f"{folder}/{refs}", **settings)
        ends = dict(ann_file=str(back / "instances.json"), split_file=str(back / new_refs))
        assert first == samples(ReferringJSONDataset, ann_file=str(out), **settings)
        assert first == samples(kind, **ends, **settings)
    return files.refs, returned.refs


@pytest.mark.parametrize(("folder", "refs"), FILES)
def test_round_trip_of_a_small_set(refer_root, tmp_path, folder, refs):
    (tmp_path / "scratch").mkdir()
    check_round_trip(refer_root, folder, refs, tmp_path / "scratch")


@pytest.mark.parametrize(("folder", "refs"), FILES)
def test_round_trip_of_toy_data(toy_root, tmp_path, folder, refs):
    before, after = check_round_trip(toy_root, folder, refs, tmp_path)
    assert [ref["category_id"] for ref in after] == [ref["category_id"] for ref in before]


@pytest.mark.parametrize("refs", ["refs(umd).p", "refs(google).p"])
def test_round_trip_of_real_data(real_root, tmp_path, refs):
    before, after = check_round_trip(real_root, "refcocog", refs, tmp_path)
    assert [ref["category_id"] for ref in after] == [ref["category_id"] for ref in before]


def test_splits_are_the_images_where_they_can_be(refer_root, tmp_path):
    refer_to_json(folder=refer_root / "refcoco", refs="refs(unc).p", out=tmp_path / "out.json")
    content = json.loads((tmp_path / "out.json").read_text())
    assert {image["id"]: image.get("split") for image in content["images"]} == {
        11: "val",
        7: None,
        30: "train",
    }
    assert [group.get("split") for group in content["groups"]] == [
        None,
        "val",
        None,
        None,
        "testA",
        None,
        None,
    ]


def test_expressions_of_annotations_become_refs_of_plain_containers(tmp_path):
    content = dict(
        images=[dict(id=1, file_name="a.jpg", width=9, height=9)],
        annotations=[
            dict(id=5, image_id=1, segmentation=[[1, 1, 4, 1, 4, 4]], expressions=["the Cat.", "it"]),
            dict(id=6, image_id=1, segmentation=[[1, 1, 4, 1, 4, 4]], category_id=3),
        ],
    )
    (tmp_path / "train.json").write_text(json.dumps(content))
    files, name = json_to_refer(path=tmp_path / "train.json", folder=tmp_path / "new" / "mine")
    assert summary(files) == "1 images, 2 annotations, 2 expressions (train 2)"
    assert name == "refs(custom).p"
    written = (tmp_path / "new" / "mine" / name).read_bytes()
    assert next(pickletools.genops(written))[1] == 2  # the protocol
    sentences = [
        dict(sent="the Cat.", raw="the Cat.", tokens=["the", "Cat."], sent_id=1),
        dict(sent="it", raw="it", tokens=["it"], sent_id=2),
    ]
    assert pickle.loads(written) == [
        dict(
            ref_id=1,
            ann_id=5,
            category_id=None,
            image_id=1,
            split="train",
            file_name="a.jpg",
            sent_ids=[1, 2],
            sentences=sentences,
        )
    ]
    content["annotations"][0].pop("expressions")
    assert read(tmp_path / "new", "mine") == dict(content, categories=[], info=dict(upright=True))


def test_what_published_grefcoco_has_beside_targets_is_left_out_and_told(refer_root, tmp_path):
    folder, instances = refer_root / "grefcoco", read(refer_root, "grefcoco")
    refs = json.loads((folder / "grefs(unc).json").read_text())
    refs.append(dict(refs[0], ref_id=99, sentences=[]))
    thin = {102: [], 201: [[5, 5, 5, 5, 5, 5]]}
    for annotation in instances["annotations"]:
        annotation["segmentation"] = thin.get(annotation["id"], annotation["segmentation"])
    (folder / "instances.json").write_text(json.dumps(instances))
    (folder / "grefs(unc).json").write_text(json.dumps(refs))
    _, left_out = refer_to_json(folder=folder, refs="grefs(unc).json", out=tmp_path / "out.json")
    assert left_out == ["left out: 1 refs without sentences", "left out: 2 targets that cover no pixel"]
    first, *_ = samples(ReferringJSONDataset, ann_file=str(tmp_path / "out.json"), split="val")
    assert {e["text"]: e["ann_ids"] for e in first["expressions"]}["both people"] == (101,)


@pytest.mark.parametrize("info", [{}, dict(year=2014), dict(upright=False), dict(upright=True)])
def test_what_masks_are_for_is_kept_from_json_to_refer_and_back(refer_root, tmp_path, info):
    refer_to_json(folder=refer_root / "refcoco", refs="refs(unc).p", out=tmp_path / "out.json")
    content = json.loads((tmp_path / "out.json").read_text()) | dict(info=info)
    (tmp_path / "mine.json").write_text(json.dumps(content))
    json_to_refer(path=tmp_path / "mine.json", folder=tmp_path / "mine")
    refer_to_json(folder=tmp_path / "mine", refs="refs(custom).p", out=tmp_path / "again.json")
    settings = dict(data_root=str(refer_root), split="val")
    refer = dict(
        ann_file=str(tmp_path / "mine/instances.json"), split_file=str(tmp_path / "mine/refs(custom).p")
    )
    rules = {
        sample["upright"]
        for sample in [
            *samples(ReferringJSONDataset, ann_file=str(tmp_path / "mine.json"), **settings),
            *samples(RefCOCODataset, **refer, **settings),
            *samples(ReferringJSONDataset, ann_file=str(tmp_path / "again.json"), **settings),
        ]
    }
    assert rules == {info.get("upright", True)}
    assert read(tmp_path, "mine")["info"] == {**info, "upright": info.get("upright", True)}


def test_a_mistake_in_grefcoco_is_not_left_out_but_told(refer_root, tmp_path):
    folder, instances = refer_root / "grefcoco", read(refer_root, "grefcoco")
    instances["annotations"][0]["segmentation"] = [[2, 3], [12, 3], [12, 20], [2, 20]]
    (folder / "instances.json").write_text(json.dumps(instances))
    with pytest.raises(DataError, match=r"annotation 101 \(image 11\) is made of points \[x, y\]"):
        refer_to_json(folder=folder, refs="grefs(unc).json", out=tmp_path / "out.json")
    assert not (tmp_path / "out.json").exists()


def test_nothing_is_overwritten(refer_root, tmp_path):
    out = tmp_path / "out.json"
    refer_to_json(folder=refer_root / "refcoco", refs="refs(unc).p", out=out)
    before = out.read_bytes()
    with pytest.raises(DataError, match=r"out\.json: exists already"):
        refer_to_json(folder=refer_root / "grefcoco", refs="grefs(unc).json", out=out)
    assert out.read_bytes() == before
    with pytest.raises(ConfigError, match="grefcoco: exists already"):
        json_to_refer(path=out, folder=refer_root / "grefcoco")
    assert {path.name for path in (refer_root / "grefcoco").iterdir()} == {
        "instances.json",
        "grefs(unc).json",
    }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda instances, refs: instances["images"].pop(), r"refs\(unc\)\.p: annotation 301 names image 30"),
        (
            lambda instances, refs: instances["annotations"].pop(0),
            r"refs\(unc\)\.p: group 1 names annotation 101",
        ),
        (lambda instances, refs: refs[1]["sentences"][0].update(sent="?"), r"group 2 \(image 7\).*no words"),
        (lambda instances, refs: refs[1].update(ref_id=1), "group id 1 is there twice"),
    ],
)
def test_a_damaged_source_is_told_and_leaves_nothing(refer_root, tmp_path, change, message):
    folder, scratch = refer_root / "refcoco", tmp_path / "scratch"
    instances = read(refer_root, "refcoco")
    refs = pickle.loads((folder / "refs(unc).p").read_bytes())
    change(instances, refs)
    (folder / "instances.json").write_text(json.dumps(instances))
    (folder / "refs(unc).p").write_bytes(pickle.dumps(refs))
    with pytest.raises(DataError, match=message):
        refer_to_json(folder=folder, refs="refs(unc).p", out=scratch / "out.json")
    assert not list(scratch.iterdir())


def test_a_writing_that_is_cut_off_leaves_nothing(refer_root, tmp_path, monkeypatch):
    write_text = Path.write_text

    def fill_the_disk(path, text, **kwargs):
        write_text(path, text[:20], **kwargs)
        raise OSError(28, "No space left on device")

    scratch = tmp_path / "scratch"
    refer_to_json(folder=refer_root / "refcoco", refs="refs(unc).p", out=tmp_path / "in.json")
    monkeypatch.setattr(Path, "write_text", fill_the_disk)
    with pytest.raises(DataError, match=r"out\.json: can't be written \(No space"):
        refer_to_json(folder=refer_root / "refcoco", refs="refs(unc).p", out=scratch / "out.json")
    with pytest.raises(ConfigError, match="refer: could not be written"):
        json_to_refer(path=tmp_path / "in.json", folder=scratch / "refer")
    assert not list(scratch.iterdir())


def test_sources_that_are_not_there(refer_root, tmp_path):
    with pytest.raises(DataError, match=r"nothing/instances\.json: no such file"):
        refer_to_json(folder=tmp_path / "nothing", refs="refs(unc).p", out=tmp_path / "out.json")
    with pytest.raises(DataError, match=r"refs\(x\)\.p: no such file"):
        refer_to_json(folder=refer_root / "refcoco", refs="refs(x).p", out=tmp_path / "out.json")
    (tmp_path / "refs.p").write_bytes((refer_root / "refcoco" / "refs(unc).p").read_bytes())
    (tmp_path / "instances.json").write_text("[]")
    with pytest.raises(DataError, match=r"instances\.json: not a COCO annotation file"):
        refer_to_json(folder=tmp_path, refs="refs.p", out=tmp_path / "out.json")
    with pytest.raises(DataError, match=r"nothing\.json: no such file"):
        json_to_refer(path=tmp_path / "nothing.json", folder=tmp_path / "new")
    assert not (tmp_path / "out.json").exists()
    assert not (tmp_path / "new").exists()
