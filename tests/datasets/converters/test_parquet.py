"""Parquet files in the layouts of the hub, made here, against pycocotools."""

import hashlib
import json
import sys
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

from mmseg_mllm.datasets import LoadReferringMasks, ReferringJSONDataset
from mmseg_mllm.datasets.converters import parquet_to_json
from mmseg_mllm.datasets.converters.rows import rows
from mmseg_mllm.errors import ConfigError, DataError

pyarrow = pytest.importorskip("pyarrow", reason="the extra parquet is not installed")
parquet = pytest.importorskip("pyarrow.parquet")

WIDTH, HEIGHT = 48, 36
ROUND = [10.5, 4.0, 30.25, 6.93, 28.0, 30.1, 9.0, 25.77]
CORNER = [1.0, 1.0, 8.0, 1.0, 8.0, 9.0, 1.0, 9.0]
LMMS_TYPES = dict(
    question_id="string",
    image=pyarrow.struct(dict(bytes=pyarrow.binary(), path=pyarrow.string())),
    question="string",
    answer=pyarrow.list_(pyarrow.string()),
    segmentation=pyarrow.list_(pyarrow.float32()),
    bbox=pyarrow.list_(pyarrow.float32()),
    iscrowd="int8",
    file_name="string",
)


def picture(seed: int, kind: str = "JPEG") -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    out = BytesIO()
    Image.fromarray(pixels).save(out, kind)
    return out.getvalue()


def box_of(*polygons) -> list[float]:
    return coco_mask.toBbox(coco_mask.merge(coco_mask.frPyObjects([*polygons], HEIGHT, WIDTH))).tolist()


def lmms_row(seed: int = 1, shape=ROUND, **changes) -> dict:
    return (
        dict(
            question_id=f"{seed}",
            image=dict(bytes=picture(seed), path=None),
            question="Provide a short description for this region.",
            answer=["left man", "the man in a grey coat"],
            segmentation=shape,
            bbox=box_of(shape),
            iscrowd=0,
            file_name=f"COCO_train2014_{seed:012d}_7.jpg",
        )
        | changes
    )


def write(path: Path, content: list[dict], *, types=None, row_group_size: int = 2) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    schema = pyarrow.schema(list((types or LMMS_TYPES).items())) if types is not False else None
    parquet.write_table(pyarrow.Table.from_pylist(content, schema), path, row_group_size=row_group_size)
    return path


def masks_of(folder: Path, split: str) -> dict[str, np.ndarray]:
    """Expression -> mask, as the dataset gives it."""
    data = ReferringJSONDataset(
        data_root=str(folder), ann_file="annotations.json", data_prefix=dict(img_path="images"), split=split
    )
    found = {}
    for i in range(len(data)):
        info = data.get_data_info(i)
        assert not info["upright"]
        masks = LoadReferringMasks().transform(dict(info, ori_shape=(HEIGHT, WIDTH)))["gt_masks"]
        found |= dict(zip([e["text"] for e in info["expressions"]], masks, strict=True))
    return found


def decoded(*polygons) -> np.ndarray:
    return coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects([*polygons], HEIGHT, WIDTH))).astype(bool)


def test_copies_of_refcoco(tmp_path):
    data = tmp_path / "hub" / "data"
    write(data / "val-00000-of-00002.parquet", [lmms_row(1), lmms_row(2, answer=["dog"])])
    again = lmms_row(1, CORNER, answer=["the corner"], file_name="COCO_train2014_000000000001_99.jpg")
    write(data / "val-00001-of-00002-0a1b2c.parquet", [again])
    write(data / "testA-00000-of-00001.parquet", [lmms_row(3, answer=["someone"])])
    files, notes = parquet_to_json(source=tmp_path / "hub", out=tmp_path / "refcoco")
    assert not notes
    assert files.splits() == ["testA", "val"]
    found = masks_of(tmp_path / "refcoco", "val")
    assert list(found) == ["left man", "the man in a grey coat", "the corner", "dog"]
    for text, polygon in {"left man": ROUND, "dog": ROUND, "the corner": CORNER}.items():
        np.testing.assert_array_equal(found[text], decoded(polygon))
    assert list(masks_of(tmp_path / "refcoco", "testA")) == ["someone"]
    written = {path.name: path.read_bytes() for path in (tmp_path / "refcoco" / "images").iterdir()}
    assert written == {f"COCO_train2014_{i:012d}.jpg": picture(i) for i in (1, 2, 3)}
    first = json.loads((tmp_path / "refcoco" / "annotations.json").read_text())["annotations"][0]
    assert first["segmentation"] == [ROUND]  # not 6.929999828338623
    assert sorted(path.name for path in tmp_path.iterdir()) == ["hub", "refcoco"]


def test_several_polygons_and_rle_too(tmp_path):
    rle = coco_mask.encode(np.asfortranarray(decoded(CORNER).astype(np.uint8)))
    shapes = dict(several=[ROUND, CORNER], rle=dict(size=rle["size"], counts=rle["counts"].decode()))
    for name, shape in shapes.items():
        row = lmms_row(1) | dict(segmentation=shape, answer=[name])
        write(tmp_path / f"{name}.parquet", [row], types=False)
        parquet_to_json(source=tmp_path / f"{name}.parquet", out=tmp_path / name)
        expected = decoded(CORNER) if name == "rle" else decoded(ROUND, CORNER)
        np.testing.assert_array_equal(masks_of(tmp_path / name, name)[name], expected)


def refcoco_m_row(image_id: int = 9, **changes) -> dict:
    shapes = {"the man": decoded(ROUND), "corner": decoded(CORNER)}
    samples = []
    for number, (text, mask) in enumerate(shapes.items()):
        rle = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
        sample = dict(
            id=number,
            image_id=image_id,
            category=["person", "chair"][number],
            supercategory="thing",
            label=text,
            sentences=[text, f"{text}, as another says it"],
            bbox=coco_mask.toBbox(rle).tolist(),
            mask=dict(counts=rle["counts"].decode(), size=rle["size"]),
        )
        samples.append(sample | changes)
    return dict(
        image=dict(bytes=picture(image_id, "PNG"), path="x.png"),
        image_id=image_id,
        file_name=f"COCO_train2014_{image_id:012d}.jpg",
        samples=samples,
    )


def test_refcoco_m(tmp_path):
    write(tmp_path / "validation-00000-of-00001.parquet", [refcoco_m_row(9), refcoco_m_row(4)], types=False)
    files, notes = parquet_to_json(source=tmp_path, out=tmp_path / "out")
    assert not notes
    assert (len(files.images), len(files.annotations)) == (2, 4)
    found = masks_of(tmp_path / "out", "validation")
    assert len(found) == 4
    for text, polygon in {"the man": ROUND, "corner, as another says it": CORNER}.items():
        np.testing.assert_array_equal(found[text], decoded(polygon))
    content = json.loads((tmp_path / "out" / "annotations.json").read_text())
    assert content["categories"] == [dict(id=1, name="person"), dict(id=2, name="chair")]
    assert [a["category_id"] for a in content["annotations"]] == [1, 2, 1, 2]
    # PNG bytes under a PNG's name.
    assert (tmp_path / "out/images/COCO_train2014_000000000009.png").read_bytes() == picture(9, "PNG")


def test_files_that_are_only_numbered_are_of_their_folder(tmp_path):
    write(tmp_path / "default" / "testB" / "0000.parquet", [lmms_row(1)])
    write(tmp_path / "default" / "testB" / "0001.parquet", [lmms_row(2)])
    files, _ = parquet_to_json(source=tmp_path / "default", out=tmp_path / "out")
    assert files.splits() == ["testB"]
    assert list(files.images) == [1, 2]


def test_masks_that_do_not_fill_their_box_are_told(tmp_path):
    write(tmp_path / "val.parquet", [lmms_row(1), lmms_row(2) | dict(bbox=box_of(ROUND, CORNER))])
    _, notes = parquet_to_json(source=tmp_path / "val.parquet", out=tmp_path / "out")
    (note,) = notes
    assert note.startswith(
        "1 of 2 masks end more than 2 pixels from a side of their box, such as annotation 2:"
    )


def test_the_same_pixels_in_other_bytes_are_one_image(tmp_path):
    first = lmms_row(1, image=dict(bytes=picture(1, "PNG"), path=None))
    other = BytesIO()
    Image.open(BytesIO(first["image"]["bytes"])).save(other, "PNG", compress_level=0)
    second = first | dict(image=dict(bytes=other.getvalue(), path=None), answer=["it"])
    write(tmp_path / "val.parquet", [first, second])
    files, _ = parquet_to_json(source=tmp_path / "val.parquet", out=tmp_path / "out")
    assert len(files.images) == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (dict(answer=[]), "`answer` is no list of at least one expression"),
        (dict(answer=["..."]), "`answer` has an expression that has no words"),
        (dict(answer=["[SEG]"]), r"`answer` has an expression that holds \[SEG\]"),
        (dict(segmentation=[]), "its segmentation is empty"),
        (dict(segmentation=None), "its segmentation is empty"),
        (dict(segmentation=[1.0, 2.0, 3.0, 4.0]), "its segmentation has no polygon of three points"),
        (dict(segmentation=[900.0, 1, 910, 1, 910, 9]), "its polygons can't be read"),
        (dict(bbox=[1.0, 2.0, 3.0]), "`bbox` is"),
        (dict(image=dict(bytes=b"GIF89a no", path=None)), "COCO_train2014_000000000002: no image"),
        (dict(image=dict(bytes=None, path="a.jpg")), "`image` holds no bytes"),
        (dict(image=None), "`image` holds no bytes"),
        (dict(file_name="../../etc/passwd"), "`file_name` is '../../etc/passwd', not of a COCO image"),
        (dict(file_name=None), "`file_name` is None"),
        (dict(file_name="COCO_train2014_000000000001.jpg"), "the image differs from the one that an earlier"),
    ],
)
def test_a_broken_row_is_told_by_file_and_row_and_leaves_nothing(tmp_path, changes, message):
    file = write(tmp_path / "val-00000-of-00001.parquet", [lmms_row(1), lmms_row(3), lmms_row(2) | changes])
    with pytest.raises(DataError, match=r"val-00000-of-00001\.parquet: row 2 \(from 0\): .*" + message):
        parquet_to_json(source=file, out=tmp_path / "out")
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (dict(mask=dict(counts="0", size=[HEIGHT, WIDTH])), "its RLE can't be read"),
        (dict(mask=dict(counts="0", size=[5, 5])), r"its mask has size \(height, width\) \[5, 5\]"),
        (dict(mask=None), "its segmentation is empty"),
        (dict(sentences=[]), "`sentences` is no list of at least one"),
        (dict(category=None), "`category` is None"),
    ],
)
def test_a_broken_object_of_refcoco_m_is_told(tmp_path, changes, message):
    file = write(tmp_path / "v.parquet", [refcoco_m_row(9), refcoco_m_row(8, **changes)], types=False)
    with pytest.raises(DataError, match=rf"v\.parquet: row 1 \(from 0\): object number 0 .*{message}"):
        parquet_to_json(source=file, out=tmp_path / "out")


def test_files_of_another_kind_are_refused(tmp_path):
    other = write(tmp_path / "other.parquet", [dict(a=1)], types=False)
    with pytest.raises(DataError, match=r"has the columns a, of no known layout\. Known are RefCOCO"):
        parquet_to_json(source=other, out=tmp_path / "out")
    (tmp_path / "cut.parquet").write_bytes(other.read_bytes()[:-9])
    with pytest.raises(DataError, match=r"cut\.parquet: can't be read as parquet"):
        parquet_to_json(source=tmp_path / "cut.parquet", out=tmp_path / "out")
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n"
    (tmp_path / "lfs.parquet").write_text(pointer)
    with pytest.raises(DataError, match=r"lfs\.parquet: only a Git LFS pointer"):
        parquet_to_json(source=tmp_path / "lfs.parquet", out=tmp_path / "out")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no parquet file"):
        parquet_to_json(source=tmp_path / "empty", out=tmp_path / "out")


def test_a_missing_file_of_a_split_is_told(tmp_path):
    write(tmp_path / "data" / "val-00001-of-00003.parquet", [lmms_row(1)])
    with pytest.raises(DataError, match=r"2 of 3 files of val are missing, such as val-00000-of-00003"):
        parquet_to_json(source=tmp_path / "data", out=tmp_path / "out")


def test_nothing_is_overwritten(tmp_path):
    file = write(tmp_path / "val.parquet", [lmms_row(1)])
    parquet_to_json(source=file, out=tmp_path / "out")
    with pytest.raises(ConfigError, match="out: exists already"):
        parquet_to_json(source=file, out=tmp_path / "out")


def test_without_pyarrow_it_says_what_to_install(tmp_path, monkeypatch):
    file = write(tmp_path / "val.parquet", [lmms_row(1)])
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ConfigError, match=r"needs pyarrow: pip install 'mmseg_mllm\[parquet\]'"):
        parquet_to_json(source=file, out=tmp_path / "out")


def test_memory_is_bounded_by_a_row_group(tmp_path):
    rng = np.random.default_rng(0)
    content = [dict(number=i, image=dict(bytes=rng.bytes(100_000), path=None)) for i in range(400)]
    sums = [hashlib.sha256(row["image"]["bytes"]).digest() for row in content]
    file = write(tmp_path / "large.parquet", content, types=False, row_group_size=40)
    del content
    before, pool = pyarrow.default_memory_pool(), pyarrow.proxy_memory_pool(pyarrow.default_memory_pool())
    pyarrow.set_memory_pool(pool)
    try:
        found = [hashlib.sha256(row["image"]["bytes"]).digest() for row in rows(file, columns=["image"])]
    finally:
        pyarrow.set_memory_pool(before)
    assert found == sums
    assert 4_000_000 < pool.max_memory() < 16_000_000  # the file has 40 MB
