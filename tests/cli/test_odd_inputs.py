"""Damaged and odd inputs: each ends in a result or in one of our messages."""

import io
import json
import random

import numpy as np
from PIL import Image

from mmseg_mllm.batch.expressions import read_expressions
from mmseg_mllm.batch.images import find_images
from mmseg_mllm.errors import MMSegMLLMError

FORMATS = ("png", "jpeg", "webp", "bmp", "gif", "tiff", "ppm")


def damaged(content: bytes, rng: random.Random) -> bytes:
    """Cut off, with other bytes in it, with a part twice or left out."""
    content = bytearray(content)
    place = rng.randrange(len(content))
    match rng.randrange(4):
        case 0:
            return bytes(content[:place])
        case 1:
            for _ in range(rng.randint(1, 20)):
                content[min(rng.randrange(len(content)), rng.randrange(200))] = rng.randrange(256)
            return bytes(content)
        case 2:
            return bytes(content[:place] + content[place // 2 :])
        case _:
            return bytes(content[: place // 2] + content[place:])


def test_images(command, model, tmp_path):
    rng, folder = random.Random(0), tmp_path / "photos"
    folder.mkdir()
    pixels = np.random.default_rng(0).integers(0, 255, (30, 40, 3), dtype=np.uint8)
    for kind in FORMATS:
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, kind)
        for k in range(30):
            (folder / f"{kind}{k}.{kind}").write_bytes(damaged(file.getvalue(), rng))
    for name, image in (
        ("one.png", Image.new("L", (1, 1))),
        ("flat.png", Image.new("RGB", (3000, 1))),
        ("tall.png", Image.new("RGBA", (1, 3000))),
        ("bits.png", Image.new("1", (9, 9))),
        ("float.tiff", Image.new("F", (9, 9))),
    ):
        image.save(folder / name)
    (folder / "empty.jpg").touch()
    (folder / "folder.jpg").mkdir()
    (folder / "ü \U0001f600 \n.jpg").write_bytes(b"text")
    out = tmp_path / "out"
    code, _, error = command("segment", folder, "-q", "a dog", "--model", model, "--out", out)
    assert code == 1
    assert "Traceback" not in error
    done = {json.loads(line)["image"] for line in (out / "results.jsonl").read_text().splitlines()}
    told = (out / "not_read.txt").read_text().splitlines()
    images = set(find_images([str(folder)]))
    assert len(images) == 30 * len(FORMATS) + 7
    assert len(done) + len(told) == len(images)
    assert done < images
    assert {str(folder / name) for name in ("one.png", "flat.png", "tall.png", "bits.png")} <= done


def test_lists_and_queries(tmp_path):
    rng, told = random.Random(0), []
    path = tmp_path / "lines.txt"
    text = "photo.jpg\nthe man in red\n左边的狗\nhttp://host/x.jpg\n\n../other.png\n".encode()
    for _ in range(200):
        path.write_bytes(damaged(text * rng.randint(1, 3), rng))
        for read in (lambda: find_images([str(path)]), lambda: read_expressions([], path)):
            try:
                found = read()
                assert found
                assert all(isinstance(line, str) and line.strip() for line in found)
            except MMSegMLLMError as error:
                told.append(str(error))
    assert len(told) > 20
    assert all("lines.txt" in message for message in told)


def test_sentences():
    rng, told = random.Random(0), []
    parts = [
        "dog",
        " ",
        ".",
        "\0",
        "\n",
        "<|im_end|>",
        "[SEG]",
        "\ud83d",
        "😀",
        "é",
        "\u202e",
        "'\"",
        "{}",
        "%s",
    ]
    for _ in range(300):
        text = "".join(rng.choices(parts, k=rng.randint(0, 6)))
        try:
            assert read_expressions([text]) == [text]
        except MMSegMLLMError as error:
            told.append(str(error))
    assert len(told) > 100
    assert all("expression" in message for message in told)
