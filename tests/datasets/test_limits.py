import json
import pickle
import struct
import time
import zlib

import pytest
from PIL import Image

from mmseg_mllm.datasets import images, json_file, limits, masks, refer, refer_records
from mmseg_mllm.datasets.images import image_size, read_rgb
from mmseg_mllm.datasets.limits import check_limit
from mmseg_mllm.datasets.masks import mask_box, union_mask
from mmseg_mllm.datasets.refer import load_instances, load_refs
from mmseg_mllm.errors import ConfigError, DataError


def test_a_bound_can_be_raised(monkeypatch):
    check_limit("it has", 10, 10, unit="bytes")
    with pytest.raises(DataError, match=r"^it has 25 bytes, the bound is 10\. .* MMSEG_MLLM_LIMITS=3$"):
        check_limit("it has", 25, 10, unit="bytes")
    monkeypatch.setenv("MMSEG_MLLM_LIMITS", "2.5")
    check_limit("it has", 25, 10, unit="bytes")
    with pytest.raises(DataError, match="the bound is 25"):
        check_limit("it has", 26, 10, unit="bytes")


@pytest.mark.parametrize("factor", ["", "many", "0", "-1", "nan", "inf"])
def test_a_factor_that_is_none(monkeypatch, factor):
    monkeypatch.setenv("MMSEG_MLLM_LIMITS", factor)
    with pytest.raises(ConfigError, match=f"MMSEG_MLLM_LIMITS={factor}: not a number above 0"):
        check_limit("it has", 11, 10, unit="bytes")


def test_json(tmp_path, monkeypatch):
    path = tmp_path / "instances.json"
    path.write_text("[" + "[]," * 1000 + "[]]")
    monkeypatch.setattr(json_file, "MAX_JSON_MEMORY", 50_000)
    with pytest.raises(DataError, match=r"instances\.json: decoded, the file takes about 112,\d+ bytes"):
        load_instances(path)
    monkeypatch.setattr(json_file, "MAX_JSON_BYTES", 500)
    with pytest.raises(DataError, match=r"instances\.json: the file has 3,004 bytes, the bound is 500"):
        load_instances(path)


def ref(**changes):
    sentences = [dict(sent="a dog", sent_id=1)]
    return dict(ref_id=3, ann_id=5, image_id=8, split="val", sentences=sentences) | changes


@pytest.mark.parametrize(
    "refs", [[ref()] * 300, [ref(sentences=ref()["sentences"] * 600)], [ref(ann_id=[5] * 600)]]
)
def test_records(tmp_path, monkeypatch, refs):
    monkeypatch.setattr(refer, "MAX_RECORDS", 500)
    (tmp_path / "refs.p").write_bytes(pickle.dumps(refs))
    with pytest.raises(DataError, match=r"refs\.p: annotation ids and sentences are \d+ records"):
        load_refs(tmp_path / "refs.p")


def test_text(tmp_path, monkeypatch):
    (tmp_path / "refs.p").write_bytes(pickle.dumps([ref(), ref(sentences=[dict(sent="a" * 60, sent_id=1)])]))
    monkeypatch.setattr(refer_records, "MAX_TEXT", 50)
    with pytest.raises(DataError, match=r"ref number 1 .*: sentence 1 has 60 characters, the bound is 50"):
        load_refs(tmp_path / "refs.p")


def test_image_records(tmp_path):
    image = dict(id=4, file_name="a.jpg", height=10_000, width=10_000)
    (tmp_path / "instances.json").write_text(json.dumps(dict(images=[image], annotations=[])))
    with pytest.raises(DataError, match=r"instances\.json: image 4 has 100,000,000 pixels"):
        load_instances(tmp_path / "instances.json")


def png(width, height):
    """A file of few bytes that says it is large."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("side", [8_000, 12_000, 60_000, 2**30])
@pytest.mark.parametrize("read", [read_rgb, image_size])
def test_pixels_of_an_image(tmp_path, side, read):
    path = tmp_path / "a.png"
    path.write_bytes(png(side, side))
    with pytest.raises(DataError, match=r"a\.png: the image "):
        read(path)


def test_bytes_of_an_image(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    Image.new("RGB", (30, 20)).save(path)
    assert image_size(path) == (20, 30) == read_rgb(path).shape[:2]
    monkeypatch.setattr(images, "MAX_IMAGE_BYTES", 50)
    with pytest.raises(DataError, match=r"a\.png: the image has \d+ bytes, the bound is 50"):
        read_rgb(path)


def test_formats_for_which_pillow_starts_a_program_are_refused(tmp_path):
    path = tmp_path / "a.jpg"
    Image.new("RGB", (30, 20)).save(path, format="EPS")
    with pytest.raises(DataError, match=r"a\.jpg: the image can't be decoded"):
        read_rgb(path)


def test_pixels_of_a_mask():
    with pytest.raises(DataError, match="annotation 7: its image has 10,000,000,000 pixels"):
        union_mask({7: [[0, 0, 9, 9, 0, 9]]}, height=100_000, width=100_000)


def test_polygons(monkeypatch):
    square = [4, 5, 14, 5, 14, 15, 4, 15]
    assert mask_box([square], height=30, width=40)[2:] == [10, 10]
    monkeypatch.setattr(masks, "MAX_OUTLINE", 50)
    assert union_mask({7: [square]}, height=30, width=40).sum() == 100
    with pytest.raises(DataError, match="annotation 7: the outline of its polygons is 80 pixels"):
        union_mask({7: [square] * 2}, height=30, width=40)
    monkeypatch.setattr(masks, "MAX_POLYGONS", 1)
    with pytest.raises(DataError, match="annotation 7: its parts are 2 polygons"):
        union_mask({7: [square] * 2}, height=30, width=40)


def test_a_run_without_end_ends_soon():
    start = time.monotonic()
    with pytest.raises(DataError, match="its RLE can't be read"):
        mask_box(dict(size=[30, 40], counts="o" * 3_000_000), height=30, width=40)
    assert time.monotonic() - start < 2


def test_real_sizes_are_far_below():
    """RefCOCO's instances.json has about 100 MB, with two thirds of them numbers."""
    assert limits.MAX_JSON_BYTES > 4 * 100e6
    assert limits.MAX_JSON_MEMORY > 2 * 100e6 / 8 * 40
