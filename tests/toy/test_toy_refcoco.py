"""The toy set against its promises, recomputed from the files, the words and the layouts."""

import colorsys
import importlib.util
import io
import itertools
import json
import pickle
import re
import shutil
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

import mmseg_mllm.toy.dataset as toy_dataset
from mmseg_mllm.errors import ConfigError, DataError
from mmseg_mllm.toy import sample_scene, write_toy_refcoco
from mmseg_mllm.toy.expressions import no_target
from mmseg_mllm.toy.polygons import mask_to_polygons
from mmseg_mllm.toy.vocabulary import COLOURS, HELD_OUT, SHAPES

SEED = 3
COUNTS = {"train": 24, "val": 8, "testA": 6, "testB": 16}
FEW = {"train": 3, "val": 2, "testA": 1, "testB": 2}
NOUNS = {form: shape for shape in SHAPES for form in (shape, shape + "s", shape + "es")}
FILLERS = {"the", "on", "at", "in", "side", "corner", "that", "is", "all", "both", "and"} | {
    noun + ending for noun in ("shape", "object") for ending in ("", "s")
}
# Axis of the centre, and the sign of counting from there or of going there.
SIDES = {"left": (0, 1), "right": (0, -1), "top": (1, 1), "bottom": (1, -1)}
WAYS = {" left of ": (0, -1), " right of ": (0, 1), " above ": (1, -1), " below ": (1, 1)}


class PlainUnpickler(pickle.Unpickler):
    def find_class(self, module, name):
        raise AssertionError(f"the pickle needs {module}.{name}")


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    root = write_toy_refcoco(out=tmp_path_factory.mktemp("toy") / "set", seed=SEED, counts=COUNTS)
    instances = json.loads((root / "refcoco/instances.json").read_text())
    images = {image["id"]: image for image in instances["images"]}
    anns = {ann["id"]: ann for ann in instances["annotations"]}
    refs = PlainUnpickler(io.BytesIO((root / "refcoco/refs(unc).p").read_bytes())).load()
    grefs = json.loads((root / "grefcoco/grefs(unc).json").read_text())
    splits = {ref["image_id"]: ref["split"] for ref in refs}
    scenes, objects = {}, {}
    for split in COUNTS:
        own = sorted(image_id for image_id, name in splits.items() if name == split)
        for index, image_id in enumerate(own):
            scenes[image_id] = sample_scene(seed=SEED, split=split, index=index)
            ann_ids = sorted(ann["id"] for ann in anns.values() if ann["image_id"] == image_id)
            objects.update(zip(ann_ids, scenes[image_id].objects, strict=True))
    return SimpleNamespace(
        root=root,
        images=images,
        anns=anns,
        refs=refs,
        grefs=grefs,
        splits=splits,
        scenes=scenes,
        objects=objects,
    )


def files_of(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def said(part: str) -> tuple[set[str], set[str], set[str], set[str]]:
    """Colours, shapes, sizes and place words of one noun phrase; fails on a word of unknown meaning."""
    words = set(part.split())
    colours = words & set(COLOURS)
    shapes = {NOUNS[word] for word in words if word in NOUNS}
    sizes = words & {"small", "large"}
    places = words & {"left", "right", "top", "bottom", "middle"}
    assert words <= colours | set(NOUNS) | sizes | places | FILLERS
    assert max(len(colours), len(shapes), len(sizes)) <= 1
    return colours, shapes, sizes, places


def plain_hits(words: str, image_id: int, toy) -> set[int]:
    """Annotations with the attributes that a noun phrase names."""
    colours, shapes, sizes, places = said(words)
    hits = set()
    for ann_id, entry in toy.objects.items():
        ann, image = toy.anns[ann_id], toy.images[image_id]
        x, y = 3 * entry.centre[0] / image["width"], 3 * entry.centre[1] / image["height"]
        held = {"left": x < 1, "right": x > 2, "top": y < 1, "bottom": y > 2}
        held["middle"] = not any(held.values())
        if (
            ann["image_id"] == image_id
            and colours <= {entry.colour}
            and shapes <= {SHAPES[ann["category_id"] - 1]}
            and sizes <= {entry.size}
            and all(held[place] for place in places)
        ):
            hits.add(ann_id)
    return hits


def hits_of(part: str, image_id: int, toy) -> set[int]:
    """Annotations that one noun phrase is true of: by order, by relation or by attributes."""
    ranked = re.fullmatch(r"(?:the )?(first|second|third) (.*) from the (\w+)", part)
    most = re.fullmatch(r"(?:the )?(\w+)most (.*)", part)
    if ranked or most:
        rank, words, side = ranked.groups() if ranked else ("first", most[2], most[1])
        axis, sign = SIDES[side]
        found = sorted(
            plain_hits(words, image_id, toy), key=lambda ann_id: sign * toy.objects[ann_id].centre[axis]
        )
        number = ("first", "second", "third").index(rank)
        return set(found[number : number + 1])
    part = part.replace(" to the left of ", " left of ").replace(" to the right of ", " right of ")
    for way, (axis, sign) in WAYS.items():
        if way in part:
            head, anchor = part.split(way)
            (other,) = plain_hits(anchor, image_id, toy)
            start = toy.objects[other].centre[axis]
            hits = plain_hits(head, image_id, toy)
            return {i for i in hits if sign * (toy.objects[i].centre[axis] - start) > 2}
    return plain_hits(part, image_id, toy)


def meant(sentence: str, image_id: int, toy) -> set[int]:
    """Annotations that a sentence is true of, worked out from its words and the objects' centres."""
    parts = sentence.split(" and ")
    found = [hits_of(part, image_id, toy) for part in parts]
    assert len(parts) == 1 or all(len(hits) == 1 for hits in found), f"not one object each: {sentence}"
    return set().union(*found)


def test_same_arguments_same_bytes_other_seed_other_scenes(tmp_path):
    one = files_of(write_toy_refcoco(out=tmp_path / "one", seed=1, counts=FEW))
    two = files_of(write_toy_refcoco(out=tmp_path / "two", seed=1, counts=FEW))
    other = files_of(write_toy_refcoco(out=tmp_path / "other", seed=2, counts=FEW))
    assert one == two
    assert one.keys() == other.keys()
    jpegs = [name for name in one if name.endswith(".jpg")]
    assert len(jpegs) == sum(FEW.values())
    assert all(one[name] != other[name] for name in jpegs)
    assert len({one[name] for name in jpegs}) == len(jpegs)


def test_a_longer_split_changes_nothing_else(tmp_path, toy):
    longer = write_toy_refcoco(out=tmp_path / "longer", seed=SEED, counts=COUNTS | {"train": 26})
    known = files_of(toy.root / "train2014")
    assert known.items() < files_of(longer / "train2014").items()
    grefs = json.loads((longer / "grefcoco/grefs(unc).json").read_text())
    assert [ref for ref in grefs if ref["image_id"] in toy.images] == toy.grefs


def test_every_refcoco_sentence_means_its_target_alone(toy):
    sentences = [(ref, sentence["sent"]) for ref in toy.refs for sentence in ref["sentences"]]
    for ref, sentence in sentences:
        assert meant(sentence, ref["image_id"], toy) == {ref["ann_id"]}, sentence


def test_words_of_every_kind_are_needed_and_no_fewer_tell_the_target(toy):
    needs = json.loads((toy.root / "refcoco/needs.json").read_text())
    kinds = Counter()
    for ref in toy.refs:
        for sentence in ref["sentences"]:
            need = needs[str(sentence["sent_id"])]
            kinds.update(need)
            own = toy.objects[ref["ann_id"]]
            others = [
                toy.objects[i]
                for i, ann in toy.anns.items()
                if ann["image_id"] == ref["image_id"] and i != ref["ann_id"]
            ]
            attributes = {"colour", "shape", "size"}
            if set(need) <= attributes:
                assert own.colour in sentence["sent"] or "colour" not in need
                assert not any(all(getattr(o, k) == getattr(own, k) for k in need) for o in others)
                for dropped in need:
                    kept = attributes & set(need) - {dropped}
                    assert any(all(getattr(o, k) == getattr(own, k) for k in kept) for o in others)
    total = kinds.total()
    assert set(kinds) == {"colour", "shape", "size", "place", "order", "relation"}
    assert min(kinds.values()) > 0.05 * total


def test_colour_and_shape_repeat(toy):
    def alone(ann_id, name):
        same = [
            i
            for i, entry in toy.objects.items()
            if toy.anns[i]["image_id"] == toy.anns[ann_id]["image_id"]
            and getattr(entry, name) == getattr(toy.objects[ann_id], name)
        ]
        return len(same) == 1

    targets = [ref["ann_id"] for ref in toy.refs for _ in ref["sentences"]]
    for name in ("colour", "shape"):
        assert np.mean([alone(target, name) for target in targets]) < 0.4


def test_images_have_three_to_eight_objects_and_no_sentence_twice(toy):
    for image_id, scene in toy.scenes.items():
        own = [ref for ref in toy.refs if ref["image_id"] == image_id]
        assert 3 <= len(scene.objects) <= 8
        assert 2 <= len({ref["ann_id"] for ref in own}) == len(own)
        assert sum(len(ref["sentences"]) for ref in own) <= 8
        for ref in own:
            sents = [sentence["sent"] for sentence in ref["sentences"]]
            assert len(set(sents)) == len(sents) <= 2


def test_layouts_keep_clear_of_cell_borders_and_of_heavy_occlusion(toy):
    hidden = 0
    for scene in toy.scenes.values():
        for entry in scene.objects:
            for position, side in zip(entry.centre, (scene.width, scene.height), strict=True):
                assert min(abs(position / side - 1 / 3), abs(position / side - 2 / 3)) > 0.03
            assert entry.visible_share >= 0.6
            hidden += entry.visible_share < 0.95
        assert not np.sum([entry.visible for entry in scene.objects], axis=0).max() > 1
    assert hidden >= 10


def test_annotations_and_pixels_show_the_layout(toy):
    hues = {name: colorsys.rgb_to_hsv(*(value / 255 for value in rgb))[0] for name, rgb in COLOURS.items()}
    for ann_id, entry in toy.objects.items():
        ann = toy.anns[ann_id]
        image = toy.images[ann["image_id"]]
        runs = coco_mask.frPyObjects(ann["segmentation"], image["height"], image["width"])
        assert np.array_equal(coco_mask.decode(coco_mask.merge(runs)).astype(bool), entry.visible)
        assert ann["area"] == entry.visible.sum()
        assert ann["bbox"] == coco_mask.toBbox(coco_mask.merge(runs)).tolist()
        assert ann["iscrowd"] == 0
        assert SHAPES[ann["category_id"] - 1] == entry.shape
        with Image.open(toy.root / "train2014" / image["file_name"]) as picture:
            assert (picture.format, picture.mode) == ("JPEG", "RGB")
            pixels = np.asarray(picture)
        assert pixels.shape == (image["height"], image["width"], 3)
        shown = colorsys.rgb_to_hsv(*np.median(pixels[entry.visible], axis=0) / 255)[0]
        distances = {name: abs((shown - hue + 0.5) % 1 - 0.5) for name, hue in hues.items()}
        assert min(distances, key=distances.get) == entry.colour


@pytest.mark.parametrize(
    "rows",
    [
        ["....", "...."],
        ["#...", ".#..", "..#."],
        [".#.", "#.#", ".#."],
        ["#####", "#.#.#", "#####", "#.#.#", "#####"],
        ["#######", "#.....#", "#.###.#", "#.#.#.#", "#.###.#", "#.....#", "#######"],
    ],
)
def test_polygons_of_awkward_masks_are_exact(rows):
    mask = np.array([[cell == "#" for cell in row] for row in rows])
    assert np.array_equal(rasterised(mask_to_polygons(mask=mask), mask.shape), mask)


def test_parts_that_touch_by_a_corner_are_separate_polygons():
    squares = mask_to_polygons(mask=np.eye(4, dtype=bool))
    assert sorted(squares) == [[i, i, i + 1, i, i + 1, i + 1, i, i + 1] for i in range(4)]


def test_polygons_of_noise_are_exact():
    for mask in np.random.default_rng(0).random((40, 9, 13)) < np.linspace(0.1, 0.95, 40)[:, None, None]:
        assert np.array_equal(rasterised(mask_to_polygons(mask=mask), mask.shape), mask)


def rasterised(polygons: list[list[int]], shape: tuple[int, int]) -> np.ndarray:
    if not polygons:
        return np.zeros(shape, dtype=bool)
    return coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects(polygons, *shape))).astype(bool)


def test_records_have_the_fields_of_refer(toy):
    assert (toy.root / "refcoco/refs(unc).p").read_bytes()[:2] == b"\x80\x02"
    assert (toy.root / "grefcoco/instances.json").read_bytes() == (
        toy.root / "refcoco/instances.json"
    ).read_bytes()
    fields = {"ref_id", "ann_id", "category_id", "image_id", "split", "file_name", "sent_ids", "sentences"}
    for ref in toy.refs:
        assert ref.keys() == fields
        assert toy.anns[ref["ann_id"]]["image_id"] == ref["image_id"]
        assert toy.anns[ref["ann_id"]]["category_id"] == ref["category_id"]
        assert ref["file_name"] == f"COCO_train2014_{ref['image_id']:012d}_{ref['ann_id']}.jpg"
    for ref in toy.grefs:
        assert ref.keys() == fields | {"no_target"}
    for ref in toy.refs + toy.grefs:
        assert ref["split"] in COUNTS
        assert ref["sent_ids"] == [sentence["sent_id"] for sentence in ref["sentences"]]
        for sentence in ref["sentences"]:
            assert sentence.keys() == {"raw", "sent", "sent_id", "tokens"}
            assert sentence["raw"].lower().rstrip(".") == sentence["sent"] == " ".join(sentence["tokens"])
    for image_id, image in toy.images.items():
        assert image["file_name"] == f"COCO_train2014_{image_id:012d}.jpg"


def test_ids_are_unique(toy):
    refs = toy.refs + toy.grefs
    instances = json.loads((toy.root / "refcoco/instances.json").read_text())
    for ids in (
        [ref["ref_id"] for ref in refs],
        list(itertools.chain.from_iterable(ref["sent_ids"] for ref in refs)),
        [image["id"] for image in instances["images"]],
        [ann["id"] for ann in instances["annotations"]],
    ):
        assert len(set(ids)) == len(ids)
    assert {split: list(toy.splits.values()).count(split) for split in COUNTS} == COUNTS


def test_held_out_pairs_are_the_targets_of_test_b_and_nowhere_else(toy):
    seen = set()
    for image_id, scene in toy.scenes.items():
        pairs = {(entry.colour, entry.shape) for entry in scene.objects}
        assert toy.splits[image_id] == "testB" or not pairs & HELD_OUT
    for ref in toy.refs + toy.grefs:
        targets = ref["ann_id"] if isinstance(ref["ann_id"], list) else [ref["ann_id"]]
        for ann_id in set(targets) - {-1}:
            pair = (toy.objects[ann_id].colour, toy.objects[ann_id].shape)
            assert (ref["split"] == "testB") == (pair in HELD_OUT)
            seen.add(pair)
        for sentence in ref["sentences"]:
            for part in re.split(r" and | of | above | below | from ", sentence["sent"]):
                words = set(part.split())
                shapes = {NOUNS[word] for word in words if word in NOUNS}
                assert ref["split"] == "testB" or not set(itertools.product(words, shapes)) & HELD_OUT
    assert seen >= HELD_OUT
    assert len(seen - HELD_OUT) >= 28  # of 30


def test_grefs_have_one_several_and_no_target_in_every_split(toy):
    for split in COUNTS:
        own = [len(set(ref["ann_id"]) - {-1}) for ref in toy.grefs if ref["split"] == split]
        for share in (own.count(0), own.count(1), sum(number > 1 for number in own)):
            assert 0.3 < share / len(own) < 0.37
    for ref in toy.grefs:
        found = meant(ref["sentences"][0]["sent"], ref["image_id"], toy)
        assert ref["no_target"] == (not found)
        assert ref["ann_id"] == (sorted(found) or [-1])
        assert ref["category_id"] == ([toy.anns[ann_id]["category_id"] for ann_id in sorted(found)] or [-1])


def test_half_of_the_absent_targets_are_near_misses():
    near = 0
    for index in range(200):
        scene = sample_scene(seed=SEED, split="val", index=index)
        (sentence,) = no_target(scene=scene, rng=np.random.default_rng(index)).sentences
        if sentence.need == ("near miss",):
            near += 1
            continue
        colours, *_ = said(sentence.text)
        assert colours
        assert not colours & {entry.colour for entry in scene.objects}
    assert 0.4 < near / 200 < 0.6


def test_a_finished_set_is_kept_and_never_replaced(toy):
    before = {path: path.stat().st_mtime_ns for path in toy.root.rglob("*")}
    assert write_toy_refcoco(out=toy.root, seed=SEED, counts=COUNTS) == toy.root
    for other in (dict(seed=SEED + 1, counts=COUNTS), dict(seed=SEED, counts=COUNTS | {"val": 9})):
        with pytest.raises(DataError, match="other arguments"):
            write_toy_refcoco(out=toy.root, **other)
    assert {path: path.stat().st_mtime_ns for path in toy.root.rglob("*")} == before


def test_a_killed_run_is_not_taken_for_finished(tmp_path, monkeypatch):
    def killed(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(toy_dataset.pickle, "dumps", killed)
    with pytest.raises(KeyboardInterrupt):
        write_toy_refcoco(out=tmp_path / "set", seed=1, counts=FEW | {"train": 5})
    assert not (tmp_path / "set/toy.json").exists()
    assert len(list((tmp_path / "set/train2014").iterdir())) == sum(FEW.values()) + 2
    monkeypatch.undo()
    again = files_of(write_toy_refcoco(out=tmp_path / "set", seed=1, counts=FEW))
    assert again == files_of(write_toy_refcoco(out=tmp_path / "clean", seed=1, counts=FEW))


def test_foreign_folders_and_files_are_refused(tmp_path):
    (tmp_path / "mine.txt").write_text("keep")
    for out in (tmp_path, tmp_path / "mine.txt"):
        with pytest.raises(DataError, match=str(out)):
            write_toy_refcoco(out=out, counts=FEW)
    assert files_of(tmp_path) == {"mine.txt": b"keep"}


@pytest.mark.parametrize(
    "arguments",
    [{"seed": -1}, {"counts": {"test": 3}}, {"counts": {"val": -1}}, {"counts": {"val": 100_000}}],
)
def test_bad_arguments_write_nothing(tmp_path, arguments):
    with pytest.raises(ConfigError):
        write_toy_refcoco(out=tmp_path / "set", **arguments)
    assert not (tmp_path / "set").exists()


def test_command_makes_keeps_and_refuses(tmp_path, monkeypatch, capsys):
    path = Path(__file__).parents[2] / "tools/dataset_converters/make_toy_refcoco.py"
    spec = importlib.util.spec_from_file_location("make_toy_refcoco", path)
    command = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(command)
    counts = [f"--num-{split}={count}" for split, count in FEW.items()]

    def run(*extra: str) -> int:
        monkeypatch.setattr(
            "sys.argv", ["make_toy_refcoco.py", "--out", str(tmp_path / "set"), *counts, *extra]
        )
        return command.main()

    assert run() == 0
    made = files_of(tmp_path / "set")
    capsys.readouterr()
    assert run("--seed", "0") == 0
    assert capsys.readouterr().out.count("\n") == 1
    assert run("--seed", "5") == 2
    assert "other arguments" in capsys.readouterr().err
    assert files_of(tmp_path / "set") == made
    shutil.rmtree(tmp_path / "set")
    assert run("--seed", "5") == 0
    assert files_of(tmp_path / "set")["toy.json"] != made["toy.json"]
