import json
import pickle
import re
import shutil

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from mmseg_mllm.datasets.checks import check_refer
from mmseg_mllm.datasets.checks.official import official_counts
from mmseg_mllm.datasets.checks.report import counts_table, problems_table
from mmseg_mllm.datasets.refer_conversion import refer_to_json
from mmseg_mllm.errors import DataError

REFS, GREFS = ("refcoco", "refs(unc).p"), ("grefcoco", "grefs(unc).json")
SPLIT_OF = {11: "val", 7: "val", 30: "train"}
IMAGE = "images/COCO_train2014_{:012d}.jpg"


@pytest.fixture
def root(refer_root):
    """The small set under a name without published counts, which it could not have."""
    (refer_root / "refcoco").rename(refer_root / "small")
    return refer_root


def found(root, dataset="small", **settings):
    """(what, split) -> number and severity, and the first example."""
    (report,) = (r for r in check_refer(root, **settings) if r.dataset == dataset)
    problems = {(p.what, p.split): (p.severity, p.count) for p in report.problems}
    assert all(0 < len(p.examples) <= 3 for p in report.problems)
    return problems, " ".join(example for p in report.problems for example in p.examples)


def change_refs(root, change):
    path = root / "small" / "refs(unc).p"
    refs = pickle.loads(path.read_bytes())
    change(refs)
    path.write_bytes(pickle.dumps(refs, protocol=2))


def change_instances(root, change, folder="small"):
    path = root / folder / "instances.json"
    instances = json.loads(path.read_text())
    change({a["id"]: a for a in instances["annotations"]}, instances)
    path.write_text(json.dumps(instances))


def test_a_whole_set(root):
    grefs, refs = check_refer(root)
    assert [(r.dataset, r.refs_file) for r in (grefs, refs)] == [GREFS, ("small", "refs(unc).p")]
    counts = {s.split: (s.found.images, s.found.refs, s.found.sentences, s.official) for s in refs.splits}
    assert counts == {"val": (2, 4, 6, None), "testA": (1, 1, 1, None), "train": (1, 2, 3, None)}
    assert not refs.count("error")
    assert (
        found(root)[0] == {("polygon with fewer than 3 points", "train"): ("warning", 1)} or not refs.problems
    )


def test_published_counts_are_told(refer_root):
    problems, examples = found(refer_root, "refcoco")
    what = "counts differ from the published ones"
    assert {key: value for key, value in problems.items() if key[0] == what} == {
        (what, split): ("warning", 1) for split in ("train", "val", "testA", "testB")
    }
    assert "2 of 1,500 images, 4 of 3,811 refs, 6 of 10,834 sentences" in examples
    assert "0 of 750 images" in examples


def test_published_counts_add_up():
    """To the sums in REFER's own demonstration, and to the same number of sentences in both RefCOCOg."""
    unc = official_counts(dataset="refcoco", refs_file="refs(unc).p").values()
    assert [sum(getattr(c, n) for c in unc) for n in ("images", "refs", "sentences")] == [
        19_994,
        50_000,
        142_210,
    ]
    both = [official_counts(dataset="refcocog", refs_file=f"refs({name}).p") for name in ("umd", "google")]
    assert [sum(counts.sentences for counts in own.values()) for own in both] == [95_010, 95_010]
    assert official_counts(dataset="grefcoco", refs_file="grefs(unc).json") == {}


def test_ids_that_lead_nowhere(root):
    def change(refs):
        refs[0]["image_id"] = 99
        refs[1]["ann_id"] = 999
        refs[3]["ann_id"] = 201
        refs[4]["ann_id"] = -1

    change_refs(root, change)
    problems, examples = found(root)
    for what, split in [
        ("image id without a record", "val"),
        ("annotation id without a record", "val"),
        ("no target, in a dataset where each has one", "testA"),
    ]:
        assert problems[what, split] == ("error", 1)
    assert problems["annotation of another image", "val"] == ("error", 2)
    for text in (
        "ref 1 names image 99",
        "ref 2 names annotation 999",
        "annotation 201 is of image 7",
        "ref 5 of",
    ):
        assert text in examples


def test_no_target_is_right_in_grefcoco(root):
    assert not [key for key, (severity, _) in found(root, "grefcoco")[0].items() if severity == "error"]


def test_expressions(root):
    def change(refs):
        refs[0]["sentences"][0]["sent"] = " ."
        refs[0]["sentences"][1]["sent"] = "the [SEG] man"
        refs[2]["sentences"][0]["sent"] = "woman."  # of another target than ref 4
        refs[6]["sentences"][0]["sent"] = "Left border"
        refs[6]["sentences"][1]["sent"] = "left border"  # of the same target
        refs[6]["sentences"][1]["sent_id"] = 8
        refs[5]["sentences"][0]["sent"] = "woman"  # in another image

    change_refs(root, change)
    problems, examples = found(root)
    assert problems["expression that can't be asked", "val"] == ("error", 2)
    assert problems["same expression for different targets of an image", "val"] == ("warning", 1)
    assert problems["sentence id twice in a split", "train"] == ("warning", 1)
    assert ("same expression for different targets of an image", "train") not in problems
    assert "sentence 1 of ref 1 (image 11) has no words" in examples
    assert "sentence 4 of ref 4 (image 11): 'woman'" in examples


def test_masks(root):
    def change(annotations, _):
        annotations[101]["segmentation"] = []
        annotations[102]["segmentation"] = [[1, 2, 3, 4], [20, 5, 30, 5, 25, 15]]
        annotations[201]["segmentation"]["size"] = [25, 50]
        annotations[202]["segmentation"]["counts"] = "nothing"
        annotations[302]["segmentation"] = [["a", 2, 3, 4, 5, 6]]

    change_instances(root, change)
    problems, examples = found(root)
    broken = "mask can't be read or is of another size"
    assert {split for what, split in problems if what == broken} == {"val", "testA", "train"}
    assert problems["mask covers no pixel", "val"] == ("error", 1)
    assert "annotation 101 (image 11): its segmentation is empty" in examples
    assert problems["polygon with fewer than 3 points", "val"] == ("warning", 1)
    assert (
        "annotation 201 (image 7): its mask has size (height, width) [25, 50], the image [50, 25]" in examples
    )


def test_boxes_that_are_not_around_their_masks(root):
    def change(annotations, _):
        annotations[101]["bbox"] = [2, 3, 12, 20]  # corners
        annotations[102]["bbox"] = [0, 20, 5, 5]
        annotations[201]["bbox"] = [1.5, 0, 3, 50]  # a little off
        annotations[202]["bbox"] = None

    change_instances(root, change)
    problems, examples = found(root)
    what = "box is not the one around its mask"
    assert {key: value for key, value in problems.items() if key[0] == what} == {
        (what, "val"): ("warning", 2)
    }
    assert "annotation 101 (image 11): bbox [2, 3, 12, 20] is x1, y1, x2, y2" in examples
    assert "annotation 102 (image 11): bbox [0, 20, 5, 5], its mask's is" in examples


@pytest.mark.parametrize(
    "bbox", [[10**400, 3, 12, 20], [2, 3, -10, 17], [2, 3, 10], ["?", 3, 10, 17], [float("nan"), 3, 10, 17]]
)
def test_a_box_that_is_none(root, bbox):
    change_instances(root, lambda annotations, _: annotations[101].update(bbox=bbox))
    problems, examples = found(root)
    assert problems["box is not the one around its mask", "val"] == ("warning", 1)
    assert re.search(r"annotation 101 \(image 11\): bbox \[.+\] is none in this image", examples)


def test_what_the_dataset_refuses_is_an_error_here_too(root):
    # Drawn, these cover the pixel at the corner.
    shape = [[0.15, 0.2, 0.6, 0.2, 0.6, 0.6, 0.15, 0.6]]
    change_instances(root, lambda annotations, _: annotations[101].update(segmentation=shape))
    change_refs(root, lambda refs: refs[0]["sentences"][0].update(sent="a dog \ud83d"))
    problems, examples = found(root)
    assert problems["mask covers no pixel", "val"] == ("error", 1)
    assert "annotation 101 (image 11): its segmentation has coordinates between 0 and 1" in examples
    assert problems["expression that can't be asked", "val"] == ("error", 1)
    assert "of ref 1 (image 11) holds half of a character" in examples


def test_what_only_grefcoco_may_have(root):
    path = root / "grefcoco" / "grefs(unc).json"
    refs = json.loads(path.read_text())
    path.unlink()
    refs.append(dict(refs[2], ref_id=77, sentences=[]))
    path.with_suffix(".p").write_bytes(pickle.dumps(refs, protocol=2))
    change_instances(root, lambda a, _: a[101].update(segmentation=[]), folder="grefcoco")
    problems, examples = found(root, "grefcoco")
    assert problems["ref without sentences, which is skipped", "val"] == ("warning", 1)
    assert problems["mask covers no pixel, as some of gRefCOCO", "val"] == ("warning", 1)
    assert "ref 77 of image 11" in examples
    (report, _) = check_refer(root)
    assert report.refs_file == "grefs(unc).p"
    assert {s.split: s.found.sentences for s in report.splits} == {"val": 5, "train": 1}


@pytest.mark.parametrize(
    ("shape", "cause"),
    [
        ([[2, 3], [12, 3], [12, 20], [2, 20]], "is made of points [x, y]; a polygon is one flat list"),
        ([[0.15, 0.2, 0.6, 0.2, 0.6, 0.6]], "has coordinates between 0 and 1, where pixels are meant"),
    ],
)
def test_a_mistake_is_an_error_in_grefcoco_too_and_its_cause_is_named(root, shape, cause):
    def change(annotations, _):
        annotations[102]["segmentation"] = []
        annotations[101]["segmentation"] = shape

    change_instances(root, change, folder="grefcoco")
    problems, examples = found(root, "grefcoco")
    assert problems["mask covers no pixel", "val"] == ("error", 1)
    assert problems["mask covers no pixel, as some of gRefCOCO", "val"] == ("warning", 1)
    assert f"annotation 101 (image 11): its segmentation {cause}" in examples


@pytest.mark.parametrize("records", ["images", "annotations"])
def test_an_id_twice(root, records):
    change_instances(root, lambda _, instances: instances[records].append(instances[records][0]))
    problems, examples = found(root)
    assert problems["file can't be used", ""] == ("error", 1)
    assert f"{records[:-1]} {11 if records == 'images' else 101} is there twice" in examples


def test_only_masks_in_use_count(root):
    whole = found(root)
    change_instances(root, lambda _, i: i["annotations"].append(dict(id=5, image_id=11, segmentation="?")))
    assert found(root) == whole


def test_images(root):
    (root / IMAGE.format(11)).unlink()
    (root / IMAGE.format(7)).write_bytes(b"no image")
    Image.new("RGB", (60, 48)).save(root / IMAGE.format(30))
    problems, examples = found(root)
    assert problems["image missing", "val"] == ("error", 1)
    assert problems["image can't be read", "val"] == problems["image can't be read", "testA"] == ("error", 1)
    assert problems["image of another size than stated", "train"] == ("error", 1)
    assert "60x48 pixels, its record says 64x48" in examples


@pytest.mark.parametrize("decode", [True, False])
def test_turned_images_are_counted(root, decode):
    for image_id, orientation in ((11, 6), (7, 1), (30, 3)):
        with Image.open(root / IMAGE.format(image_id)) as image:
            exif = Image.Exif()
            exif[0x0112] = orientation
            image.save(root / IMAGE.format(image_id), exif=exif)
    problems, examples = found(root, decode=decode)
    what = "image with an EXIF turn, which is not applied"
    turned = {split: value for (kind, split), value in problems.items() if kind == what}
    assert turned == {"val": ("warning", 1), "train": ("warning", 1)}
    assert IMAGE.format(30) in examples


@pytest.mark.parametrize("decode", [True, False])
def test_turned_images_whose_masks_are_for_the_upright_ones(root, decode):
    change_instances(root, lambda _, instances: instances.update(info=dict(upright=True)))
    with Image.open(root / IMAGE.format(11)) as image:
        exif = Image.Exif()
        exif[0x0112] = 6
        image.transpose(Image.Transpose.ROTATE_90).save(root / IMAGE.format(11), exif=exif)
    assert list(found(root, decode=decode)[0]) == [("polygon with fewer than 3 points", "train")]


def test_an_image_that_is_cut_off_needs_decoding(root):
    path = root / IMAGE.format(30)
    pixels = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    path.write_bytes(path.read_bytes()[:-1000])
    key = ("image can't be read", "train")
    assert key not in found(root)[0]
    assert found(root, decode=True)[0][key] == ("error", 1)


@pytest.mark.parametrize("place", ["train2014", "images/mscoco/images/train2014", "saiapr_tc-12"])
def test_images_are_found_under_the_usual_names(root, tmp_path, place):
    shutil.move(root / "images", tmp_path / "moved")
    assert found(root)[0]["images not found", ""] == ("error", 1)
    shutil.move(tmp_path / "moved", tmp_path / "new" / place)
    assert not [
        key for key, (severity, _) in found(root, images=tmp_path / "new")[0].items() if severity == "error"
    ]


def test_a_damaged_file_does_not_hide_the_others(root):
    whole = found(root)
    (root / "grefcoco" / "grefs(unc).json").write_text("{")
    assert found(root, "grefcoco")[0] == {("file can't be used", ""): ("error", 1)}
    assert found(root) == whole
    (root / "grefcoco" / "instances.json").unlink()
    assert found(root, "grefcoco")[0] == {("file can't be used", ""): ("error", 2)}
    assert found(root) == whole
    shutil.copy(root / "small" / "refs(unc).p", root / "small" / "refs(copy).p")
    (root / "small" / "refs(unc).p").write_bytes(b"cut off")
    copy, own = (r for r in check_refer(root) if r.dataset == "small")
    assert (copy.refs_file, copy.count("error"), len(copy.splits)) == ("refs(copy).p", 0, 3)
    assert (own.refs_file, own.count("error"), own.splits) == ("refs(unc).p", 1, [])


def test_broken_instances_leave_the_expressions_to_check(root):
    change_refs(root, lambda refs: refs[0]["sentences"][0].update(sent="?"))
    (root / "small" / "instances.json").write_text("[]")
    problems, _ = found(root)
    assert problems == {
        ("file can't be used", ""): ("error", 1),
        ("expression that can't be asked", "val"): ("error", 1),
    }


def test_a_folder_without_refs(root):
    (root / "small" / "refs(unc).p").unlink()
    problems, examples = found(root)
    assert problems == {("file can't be used", ""): ("error", 1)}
    assert "refs*.p: no such file" in examples


def test_refclef(root):
    """Its annotation ids are strings, its masks lists of RLEs, and 'testAB' is both 'testA' and 'testB'."""
    change_refs(root, lambda refs: refs.__delitem__(slice(2, None)))
    change_refs(root, lambda refs: refs[0].update(split="testAB", ann_id="11_1"))

    def change(annotations, _):
        annotations[101]["id"] = "11_1"
        annotations[101]["segmentation"] = [dict(size=[30, 40], counts=[600, 600])]
        annotations[101]["bbox"] = [20, 0, 20, 30]

    change_instances(root, change)
    (_, report) = check_refer(root)
    assert [(s.split, s.found.sentences) for s in report.splits] == [("testA", 2), ("testB", 2), ("val", 1)]
    assert report.problems == []


def test_no_folder_and_no_dataset(tmp_path):
    with pytest.raises(DataError, match=r"nowhere: no such folder"):
        check_refer(tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"no folder below has instances\.json"):
        check_refer(tmp_path)


def test_progress_covers_each_dataset(root):
    seen = []
    check_refer(root, track=lambda items, text: seen.append((text, len(items))) or items)
    assert seen[3:] == [("small: reading", 2), ("small: masks", 6), ("small: images", 3)]


def test_real_sample_has_no_errors(real_root):
    reports = check_refer(real_root, decode=True)
    assert sum(s.found.sentences for report in reports for s in report.splits) == 4
    assert sum(report.count("error") for report in reports) == 0
    warned = {p.what for report in reports for p in report.problems}
    assert warned == {"counts differ from the published ones"}


def test_names_with_brackets_stand_in_the_tables_as_they_are(root):
    (root / "small").rename(root / "small[b] :dog:")
    console = Console(width=200)
    with console.capture() as captured:
        console.print(counts_table(check_refer(root), title="Datasets in a[v2]/b[/b]"))
        console.print(problems_table(check_refer(root, images=root / "small[b] :dog:")))
    text = captured.get()
    assert "Datasets in a[v2]/b[/b]" in text
    assert text.count("small[b] :dog:") > 4


def test_a_referring_json(root, tmp_path):
    path = tmp_path / "mine" / "annotations.json"
    refer_to_json(folder=root / "grefcoco", refs="grefs(unc).json", out=path)
    (report,) = check_refer(path, images=root / "images")
    assert (report.dataset, report.refs_file, report.count("error")) == ("mine", "annotations.json", 0)
    assert {counts.split: counts.found.sentences for counts in report.splits} == {"val": 5, "train": 1}
    content = json.loads(path.read_text())
    content["annotations"][0]["segmentation"] = dict(size=[30, 40], counts=[1200])
    path.write_text(json.dumps(content))
    (root / IMAGE.format(30)).unlink()
    problems, _ = found(path, "mine", images=root / "images")
    assert problems == {
        ("mask covers no pixel", "val"): ("error", 1),
        ("image missing", "train"): ("error", 1),
    }
    path.write_text(json.dumps(content | dict(images=[])))
    problems, examples = found(path, "mine")
    assert problems == {("file can't be used", ""): ("error", 1)}
    assert "names image" in examples


def test_published_counts_of_json_files_have_no_training_split():
    counts = official_counts(dataset="refcoco+", refs_file="annotations.json")
    assert list(counts) == ["val", "testA", "testB"]
    assert counts["testB"] == official_counts(dataset="refcoco+", refs_file="refs(unc).p")["testB"]
