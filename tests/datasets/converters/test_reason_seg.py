"""ReasonSeg's layout, with masks and figures counted pixel by pixel as LISA defines them."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from pycocotools import mask as coco_mask

from mmseg_mllm.datasets import LoadReferringMasks, LoadRGBImage, ReferringJSONDataset
from mmseg_mllm.datasets.converters import reason_seg_to_json
from mmseg_mllm.datasets.refer_conversion import json_to_refer
from mmseg_mllm.errors import DataError
from mmseg_mllm.evaluation import RESMetric

LONG = (
    "In this kitchen, after a long day at work, someone who wants to keep the vegetables cold and fresh "
    "until the end of the week would need to open something; which part of the picture is it?"
)
WIDTH, HEIGHT = 40, 30


def box(label, x0, y0, x1, y1):
    """A rectangle with all pixels from x0 to x1 and y0 to y1, both included: OpenCV fills the outline."""
    return dict(label=label, points=[[x0, y0], [x1, y0], [x1, y1], [x0, y1]])


NESTED = [  # painted from the largest to the smallest, in whatever order they are written
    box("target", 20, 10, 22, 12),
    box("ignore", 15, 5, 25, 20),
    box("target", 10, 2, 30, 25),
    box("flag", 0, 0, 39, 29),
]
FILES = {
    "train/a": (NESTED, ["the cat", "the furry animal", "what purrs here?"], False),
    "val/b": (NESTED, [LONG, "never asked"], True),
    "val/c": ([box("Target", 3, 3, 9.9, 9.9)], ["something to sit on"], False),
    "val/d": ([box("ignored thing", 0, 0, 5, 5)], ["a unicorn that isn't there"], False),
    "val/e": ([], ["nothing at all"], False),
}


def by_hand(path: str) -> np.ndarray:
    """1 for the target, 255 for what is not counted."""
    mask = np.zeros((HEIGHT, WIDTH), int)
    if path in ("train/a", "val/b"):
        mask[2:26, 10:31] = 1
        mask[5:21, 15:26] = 255
        mask[10:13, 20:23] = 1
    elif path == "val/c":
        mask[3:10, 3:10] = 1  # 9.9 is in pixel 9
    elif path == "val/d":
        mask[:6, :6] = 255
    return mask


@pytest.fixture
def root(tmp_path):
    for path, (shapes, text, is_sentence) in FILES.items():
        place = tmp_path / "ReasonSeg" / path
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (WIDTH, HEIGHT), "grey").save(place.with_suffix(".jpg"))
        content = dict(shapes=shapes, text=text, is_sentence=is_sentence)
        place.with_suffix(".json").write_text(json.dumps(content))
    return tmp_path / "ReasonSeg"


def dataset(root, split, **settings):
    return ReferringJSONDataset(
        data_root=str(root),
        ann_file="reasonseg.json",
        dataset_name="reasonseg",
        split=split,
        serialize_data=False,
        **settings,
    )


def change(root, path, **fields):
    file = (root / path).with_suffix(".json")
    file.write_text(json.dumps(json.loads(file.read_text()) | fields))


@pytest.fixture
def converted(root):
    return root, *reason_seg_to_json(root=root, out=root / "reasonseg.json")


def test_masks_are_those_painted_by_hand(converted):
    root, files, _ = converted
    assert (root / "reasonseg.json").is_file()
    load = LoadReferringMasks()
    seen = []
    for split in ("train", "val"):
        data = dataset(root, split, pipeline=[])
        for i in range(len(data)):
            info = data.get_data_info(i)
            path = info["img_path"].removeprefix(f"{root}/").removesuffix(".jpg")
            found = load.transform(dict(info, ori_shape=(HEIGHT, WIDTH)))
            mask = by_hand(path)
            ignored = found.get("gt_ignored", np.zeros((len(info["expressions"]), HEIGHT, WIDTH), bool))
            for k in range(len(info["expressions"])):
                np.testing.assert_array_equal(found["gt_masks"][k], mask == 1)
                np.testing.assert_array_equal(ignored[k], mask == 255)
            assert ("gt_ignored" in found) == (mask == 255).any()
            seen.append(path)
    assert seen == list(FILES)
    for annotation in files.annotations.values():
        rle = annotation["segmentation"]
        assert rle == {**coco_mask.encode(np.asfortranarray(coco_mask.decode(rle))), "counts": rle["counts"]}


def test_sentences_splits_and_notes(converted):
    root, _, notes = converted
    data = dataset(root, ["train", "val"], pipeline=[])
    samples = [data.get_data_info(i) for i in range(len(data))]
    asked = {(sample["split"], e["text"]) for sample in samples for e in sample["expressions"]}
    expected = {("train", text) for text in FILES["train/a"][1]}
    expected |= {("val", texts[0]) for path, (_, texts, _) in FILES.items() if path.startswith("val")}
    assert asked == expected
    assert notes == [
        "left out: 1 further sentences of val, LISA asks the first of each image",
        "no pixel of a target in val/d.jpg, val/e.jpg: an empty mask is right there",
        "label 'Target' (1 shapes) is taken as target",
    ]
    content = json.loads((root / "reasonseg.json").read_text())
    names = {category["id"]: category["name"] for category in content["categories"]}
    kinds = [names[a["category_id"]] for a in content["annotations"] if "category_id" in a]
    assert kinds == ["short query", "long query", "short query"]


def test_figures_are_those_of_lisas_count(converted):
    """Pixel by pixel: IoU = I / (U + 1e-5), and 1 where U is 0; ignored pixels are in neither."""
    root, *_ = converted
    data, load = dataset(root, "val", pipeline=[]), LoadReferringMasks()
    rng = np.random.default_rng(0)
    metric, ious, total, union_total = RESMetric(rejection="lisa"), [], 0, 0
    for i in range(len(data)):
        info = data.get_data_info(i)
        path = info["img_path"].removeprefix(f"{root}/").removesuffix(".jpg")
        truth, pred = by_hand(path), rng.random((HEIGHT, WIDTH)) < 0.4
        if path == "val/d":  # only where it isn't counted: as good as empty
            pred = np.zeros_like(pred)
            pred[:4, :4] = True
        intersection = union = 0
        for y in range(HEIGHT):
            for x in range(WIDTH):
                if truth[y, x] != 255:
                    intersection += int(pred[y, x] and truth[y, x] == 1)
                    union += int(pred[y, x] or truth[y, x] == 1)
        ious.append(1.0 if union == 0 else intersection / (union + 1e-5))
        total, union_total = total + intersection, union_total + union
        found = load.transform(dict(info, ori_shape=(HEIGHT, WIDTH)))
        boxes = torch.tensor([[0.0, 0.0, 9.0, 9.0]])
        gt = {k: torch.from_numpy(found[f"gt_{k}"]) for k in ("masks", "ignored") if f"gt_{k}" in found}
        sample = dict(
            info,
            protocol="independent, forced",
            ann_ids=[e["ann_ids"] for e in info["expressions"]],
            # Verdicts play no part, right or wrong.
            pred_instances=dict(
                masks=torch.from_numpy(pred)[None], bboxes=boxes, rejected=torch.tensor([i % 2 == 0])
            ),
            gt_instances=dict(gt, bboxes=boxes),
        )
        metric.process(None, [sample])
    figures = metric.evaluate(len(data))
    assert ious[2] == 1.0
    assert ious[3] == 0.0
    assert figures["reasonseg/val/ReasonSeg gIoU"] == pytest.approx(100 * np.mean(ious), abs=1e-4)
    assert figures["reasonseg/val/ReasonSeg cIoU"] == pytest.approx(100 * total / union_total, abs=1e-9)
    assert figures["reasonseg/val/ReasonSeg no target"] == 2
    assert [(row.task, row.protocol) for row in metric.rows] == [
        ("ReasonSeg", "independent, forced, rejection: lisa")
    ]


def test_windows_quotes_are_read(root):
    file = root / "val" / "c.json"
    file.write_bytes(file.read_bytes().replace(b"something", b"the dog\x92s thing"))
    reason_seg_to_json(root=root, out=root / "reasonseg.json")
    texts = [e["text"] for e in dataset(root, "val", pipeline=[]).get_data_info(1)["expressions"]]
    assert texts == ["the dog’s thing to sit on"]


def test_turned_photos_are_upright_as_for_opencv(root):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (HEIGHT, WIDTH), "grey").save(root / "val" / "c.jpg", exif=exif)
    reason_seg_to_json(root=root, out=root / "reasonseg.json")
    sample = LoadReferringMasks()(LoadRGBImage()(dataset(root, "val", pipeline=[]).get_data_info(1)))
    assert sample["img"].shape[:2] == (HEIGHT, WIDTH)
    np.testing.assert_array_equal(sample["gt_masks"][0], by_hand("val/c") == 1)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (dict(text=[]), "`text` is no list of at least one expression"),
        (dict(text=["?"]), "`text` has an expression that has no words"),
        (dict(shapes=None), "`shapes` must be a list of records"),
        (dict(shapes=[dict(label="target", points=[])]), r"`points` of shape number 0 \(from 0\)"),
        (dict(shapes=[dict(label="target", points=[[1, 2, 3]])]), r"`points` of shape number 0 \(from 0\)"),
        (
            dict(shapes=[box("target", 0, 0, 1e9, 3)]),
            r"shape number 0 \(from 0\) has points far outside of an image",
        ),
        (dict(shapes=[box("target", 0, 0, float("nan"), 3)]), r"shape number 0 \(from 0\) has points far"),
        (dict(is_sentence="yes"), "`is_sentence` must be true or false, not 'yes'"),
    ],
)
def test_a_broken_file_is_told_by_name_and_leaves_nothing(root, fields, message):
    change(root, "val/c", **fields)
    with pytest.raises(DataError, match=rf"val/c\.json: {message}"):
        reason_seg_to_json(root=root, out=root / "out" / "reasonseg.json")
    assert not list((root / "out").iterdir())


@pytest.mark.parametrize("end", ["json", "jpg"])
def test_a_missing_half_is_told(root, end):
    (root / "val" / f"c.{end}").unlink()
    with pytest.raises(DataError, match=rf"val/c\.{end}: missing \(1 such"):
        reason_seg_to_json(root=root, out=root / "reasonseg.json")


def test_a_folder_of_something_else_is_refused(tmp_path):
    with pytest.raises(DataError, match="none of the folders train, val, test"):
        reason_seg_to_json(root=tmp_path, out=tmp_path / "reasonseg.json")


def test_refer_has_no_place_for_ignored_pixels(converted, tmp_path):
    with pytest.raises(DataError, match=r"has `ignore_ids`, for which REFER has no place"):
        json_to_refer(path=converted[0] / "reasonseg.json", folder=tmp_path / "refer")
