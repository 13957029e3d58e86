"""Damaged and odd inputs: each ends in a result or in one of our messages."""

import io
import json
import math
import random

import numpy as np
from helpers.mutations import damaged_bytes
from PIL import Image

from mmseg_mllm.apis import RESPredictor
from mmseg_mllm.apis.sources import load_image
from mmseg_mllm.batch.expressions import read_expressions
from mmseg_mllm.batch.images import find_images
from mmseg_mllm.batch.records import to_json
from mmseg_mllm.errors import DataError, MMSegMLLMError

FORMATS = ("png", "jpeg", "webp", "bmp", "gif", "tiff", "ppm")
SENTENCE_PARTS = [
    *(
        "dog",
        " ",
        ".",
        "\0",
        "\n",
        "\t",
        "\u2028",
        "\x1b[31m",
        "\ufeff",
        "\u202e",
        "\u200b",
        "'\"",
        "\\",
        "$x$",
    ),
    *(
        "<|im_end|>",
        "[SEG]",
        "<img>",
        "</s>",
        "{}",
        "%s",
        "{expressions}",
        "&amp;",
        "\ud83d",
        "\ue000",
        "\ufffe",
    ),
    *("😀", "👨\u200d👩\u200d👧", "é", "e" + "\u0301" * 30, "한국", "ﷺ", "İ", "½", "a" * 300),
]


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


def test_images(command, model, tmp_path, recwarn):
    rng, folder = random.Random(0), tmp_path / "photos"
    folder.mkdir()
    pixels, exif = np.random.default_rng(0).integers(0, 255, (30, 40, 3), dtype=np.uint8), Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "a camera" * 9
    for kind in FORMATS:
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, kind, **(dict(exif=exif) if kind in ("jpeg", "tiff") else {}))
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
    assert not [warning for warning in recwarn if "PIL" in warning.filename]
    done = {json.loads(line)["image"] for line in (out / "results.jsonl").read_text().splitlines()}
    told = (out / "not_read.txt").read_text().splitlines()
    images = set(find_images([str(folder)]))
    assert len(images) == 30 * len(FORMATS) + 7
    assert len(done) + len(told) == len(images)
    assert done < images
    assert {str(folder / name) for name in ("one.png", "flat.png", "tall.png", "bits.png")} <= done


def image_files() -> list[bytes]:
    """The same image as cameras, scanners and editors store it."""
    pixels = np.random.default_rng(0).integers(0, 255, (30, 40, 3), dtype=np.uint8)
    image, exif = Image.fromarray(pixels), Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "a camera" * 9
    kinds = [
        (image.convert("CMYK"), "jpeg", dict(exif=exif)),
        (image, "jpeg", dict(progressive=True, exif=exif)),
        (image.convert("P"), "png", dict(transparency=3)),
        (Image.fromarray(pixels[..., 0].astype(np.uint16) * 257), "png", {}),
        (image, "png", dict(save_all=True, append_images=[image], exif=exif)),
        (image, "gif", dict(save_all=True, append_images=[image])),
        (image.convert("RGBA"), "webp", dict(lossless=True, exif=exif)),
        (image, "tiff", dict(compression="tiff_lzw", exif=exif)),
        (image, "tiff", dict(compression="jpeg")),
        (image.convert("1"), "bmp", {}),
        (image, "jpeg2000", {}),
    ]
    files = []
    for stored, kind, options in kinds:
        file = io.BytesIO()
        stored.save(file, kind, **options)
        files.append(file.getvalue())
    return files


def test_image_files_of_more_kinds():
    rng, told, read = random.Random(0), [], 0
    for content in image_files():
        assert load_image(content).shape in ((30, 40, 3), (40, 30, 3))
        for damage in (damaged, damaged_bytes):
            for _ in range(25):
                try:
                    pixels = load_image(damage(content, rng))
                except DataError as error:
                    told.append(str(error))
                    continue
                assert (pixels.ndim, pixels.shape[2], pixels.dtype) == (3, 3, np.uint8)
                read += 1
    assert read > 50
    assert len(told) > 200
    assert all(message.startswith("the image") for message in told)


def test_lists_and_queries(tmp_path):
    rng, told = random.Random(0), []
    path = tmp_path / "lines.txt"
    text = "photo.jpg\nthe man in red\n左边的狗\nhttp://host/x.jpg\n\n../other.png\n".encode()
    for k in range(300):
        damage = damaged if k % 2 else damaged_bytes
        path.write_bytes(damage(text * rng.randint(1, 3), rng))
        for read in (lambda: find_images([str(path)]), lambda: read_expressions([], path)):
            try:
                found = read()
                assert found
                assert all(isinstance(line, str) and line.strip() for line in found)
            except MMSegMLLMError as error:
                told.append(str(error))
    assert len(told) > 20
    assert all("lines.txt" in message for message in told)


def test_sentences(model, photos):
    predictor, rng, told, asked = RESPredictor.from_pretrained(model, device="cpu"), random.Random(0), [], []
    predictor.set_image(photos / "photo0.png")
    for _ in range(500):
        text = "".join(rng.choices(SENTENCE_PARTS, k=rng.randint(0, 5)))
        try:
            asked += read_expressions([text])
        except MMSegMLLMError as error:
            told.append(str(error))
    assert len(told) > 100
    assert all("expression" in message for message in told)
    assert len(asked) > 100
    found = predictor.segment([text for text in asked if len(text) < 100][:60])
    assert all(math.isfinite(result.score) for result in found)
    assert found.plot().width == 480
    assert json.loads(to_json([result.to_dict() for result in found]))
