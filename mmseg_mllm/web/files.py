"""What the page shows and gives away, as the contents of files."""

import json
from io import BytesIO
from pathlib import Path

from PIL import Image

from mmseg_mllm.web.asking import Asked

MAX_CAPTION = 120
"""Characters of a sentence in the legend."""


def captions(asked: Asked) -> list[str]:
    """A line of the legend for each result: sentence, verdict, score.

    The verdict is that of the drawing: masks of the image's size would take seconds where it is large.
    """
    return [
        f"{_short(layer.text)} \N{EM DASH} {layer.note or 'there'}, score {result.score:+.1f}"
        for layer, result in zip(asked.results.layers(), asked.results, strict=True)
    ]


def shown_jpeg(asked: Asked, shown: list[int]) -> bytes:
    """The image with some of the masks, to look at."""
    return _encoded(asked.results.plot(shown=shown, legend=False), "JPEG", quality=90, subsampling=0)


def picture_png(asked: Asked, shown: list[int]) -> bytes:
    """The same with its legend, to keep."""
    return _encoded(asked.results.plot(shown=shown), "PNG", compress_level=1)


def results_json(asked: Asked) -> bytes:
    """All results, their masks as COCO's RLE at the image's size."""
    height, width = asked.results.size
    results = [result.to_dict() for result in asked.results]
    content = dict(image=Path(asked.image).name, width=width, height=height, results=results)
    return json.dumps(content, indent=1, ensure_ascii=False).encode()


def _short(text: str) -> str:
    return text if len(text) <= MAX_CAPTION else f"{text[:MAX_CAPTION]}\N{HORIZONTAL ELLIPSIS}"


def _encoded(picture: Image.Image, kind: str, **how) -> bytes:
    file = BytesIO()
    picture.save(file, kind, **how)
    return file.getvalue()
