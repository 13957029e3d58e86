import json
from io import BytesIO

import numpy as np
import pytest
import torch
from helpers.tiny_model import tiny_config
from mmseg.registry import MODELS
from PIL import Image
from pycocotools import mask as coco_mask

from mmseg_mllm.apis import RESPredictor, Segmentation, Segmentations
from mmseg_mllm.errors import ConfigError, DataError
from mmseg_mllm.web.asking import MAX_SENTENCES, Asked, Asker
from mmseg_mllm.web.files import captions, picture_png, results_json, shown_jpeg


@pytest.fixture(scope="module")
def predictor():
    torch.manual_seed(0)
    config = tiny_config()
    config["data_preprocessor"] = dict(type="ImgDataPreprocessor", mean=[120.0] * 3, std=[60.0] * 3)
    return RESPredictor(model=MODELS.build(config))


@pytest.fixture
def asked_for(predictor, monkeypatch):
    """What the predictor is asked, call by call."""
    calls, segment = [], predictor.segment

    def spy(expressions, **arguments):
        calls.append(list(expressions))
        return segment(expressions, **arguments)

    monkeypatch.setattr(predictor, "segment", spy)
    return calls


@pytest.fixture
def photo(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 255, (20, 30, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    return str(tmp_path / "photo.png")


def test_only_what_is_new_is_asked(predictor, asked_for, photo):
    asker = Asker(predictor=predictor)
    seen = asker.look(photo)
    assert (seen.results.size, list(seen.results)) == ((20, 30), [])
    assert seen.note.startswith("30 x 20 pixels, seen in ")
    assert asker.look(photo).note == "30 x 20 pixels, seen before"
    one = asker.ask(photo, " the dog \n\n the dog", before=seen)
    two = asker.ask(photo, "a cat\nthe dog", before=one)
    assert [calls for calls in asked_for if calls] == [["the dog"], ["a cat"]]
    assert [result.expression for result in two.results] == ["a cat", "the dog"]
    assert two.results[1] is one.results[0]
    assert one.note.startswith("1 sentence in ")
    assert two.note.startswith("1 new sentence in ")
    assert two.note.endswith(", 1 kept")
    assert asker.ask(photo, "the dog", before=two).note == "nothing new was asked"
    predictor.set_image(photo)
    for result, alone in zip(two.results, predictor.segment(["a cat", "the dog"]), strict=True):
        assert np.array_equal(result.mask, alone.mask)


def test_each_session_is_answered_for_its_own_image(predictor, photo, tmp_path):
    Image.fromarray(255 - np.array(Image.open(photo))).save(tmp_path / "other.png")
    other = str(tmp_path / "other.png")
    small = RESPredictor(model=predictor.model, max_image_bytes=1)  # each image pushes the other one out
    asker = Asker(predictor=small)
    first, second = asker.look(photo), asker.look(other)
    assert small.images == (other,)
    first = asker.ask(photo, "the dog", before=first)
    second = asker.ask(other, "the dog", before=second)
    for path, asked in ((photo, first), (other, second)):
        small.set_image(path)
        assert np.array_equal(asked.results[0].mask, small.segment("the dog")[0].mask)
    assert not np.array_equal(first.results[0].mask, second.results[0].mask)
    assert asker.ask(other, "the dog", before=first).results.picture.getpixel((0, 0)) == Image.open(
        other
    ).getpixel((0, 0))


def test_what_people_get_wrong(predictor, photo, tmp_path):
    asker = Asker(predictor=predictor)
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    (tmp_path / "large.png").write_bytes(_png_head(20_000, 20_000))
    for path, text, kind, message in (
        (None, "dog", ConfigError, "no image yet"),
        (str(tmp_path / "broken.png"), "dog", DataError, "^the image: "),
        (str(tmp_path / "large.png"), "dog", DataError, "400,000,000 pixels"),
        (str(tmp_path / "gone.png"), "dog", DataError, "give it again"),
        (photo, " \n ", ConfigError, "no sentence yet"),
        (photo, "\n".join(f"dog {k}" for k in range(MAX_SENTENCES + 1)), ConfigError, "at most 32"),
        (photo, "x" * 10_001, DataError, "10,001 characters"),
        (photo, "dog [SEG]", ConfigError, r"holds \[SEG\]"),
    ):
        with pytest.raises(kind, match=message) as told:
            asker.ask(path, text, before=None)
        assert str(tmp_path) not in str(told.value)


def test_too_little_memory_is_told_and_the_next_question_is_answered(predictor, photo, monkeypatch):
    def full(*arguments, **named):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")

    asker = Asker(predictor=predictor)
    seen = asker.look(photo)
    with monkeypatch.context() as patch:
        patch.setattr(predictor.model, "answers_on", full)
        with pytest.raises(ConfigError, match="too little memory for this: ask fewer sentences"):
            asker.ask(photo, "the dog", before=seen)
    assert len(asker.ask(photo, "the dog", before=seen).results) == 1


def test_a_mask_without_pixels_is_told_of(photo):
    picture = Image.open(photo)
    of_all = dict(size=(20, 30), picture=picture)
    results = [
        Segmentation(
            expression=text, score=score, exists=score > 0, map=np.full((4, 4), p, np.float32), **of_all
        )
        for text, score, p in (("a", 2.0, 0.9), ("b", 1.0, 0.1), ("c", -3.0, 0.9))
    ]
    asked = Asked(image=photo, results=Segmentations(results, **of_all), note="")
    assert captions(asked) == [
        "a — there, score +2.0",
        "b — no pixels, score +1.0",
        "c — not there, score -3.0",
    ]


def test_files(predictor, photo):
    asked = Asker(predictor=predictor).ask(photo, "dog\n" + "cat " * 60, before=None)
    content = json.loads(results_json(asked))
    assert (content["image"], content["width"], content["height"]) == ("photo.png", 30, 20)
    for told, result in zip(content["results"], asked.results, strict=True):
        assert np.array_equal(coco_mask.decode(told["rle"]).astype(bool), result.mask)
        assert (told["expression"], told["exists"]) == (result.expression, result.exists)
    first, second = captions(asked)
    assert first.startswith("dog — ")
    assert first.endswith(f"score {asked.results[0].score:+.1f}")
    assert len(second) < 160
    shown, kept = Image.open(BytesIO(shown_jpeg(asked, [0]))), Image.open(BytesIO(picture_png(asked, [0])))
    assert (shown.format, shown.size) == ("JPEG", (480, 320))
    assert (kept.format, kept.width) == ("PNG", 480)
    assert kept.height > 320  # the legend


def _png_head(width: int, height: int) -> bytes:
    """A PNG file that says to be of a size."""
    file = BytesIO()
    Image.new("L", (1, 1)).save(file, "PNG")
    content = file.getvalue()
    chunk = b"IHDR" + width.to_bytes(4, "big") + height.to_bytes(4, "big") + content[24:29]
    return content[:12] + chunk + __import__("zlib").crc32(chunk).to_bytes(4, "big") + content[33:]
