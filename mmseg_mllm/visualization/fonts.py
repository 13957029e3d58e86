"""Text on pictures: DejaVu Sans, and for characters that it lacks any installed font that has them."""

import logging
import unicodedata
from bisect import bisect_right
from collections.abc import Iterator
from functools import lru_cache
from itertools import groupby
from pathlib import Path

import matplotlib
from matplotlib import font_manager
from matplotlib.ft2font import FT2Font
from mmengine.logging import print_log
from PIL import Image, ImageDraw, ImageFont

PREFERRED = ("notosanscjk", "sourcehansans", "notosans", "emoji")
"""Parts of file names; of several fonts with a character, the first of these is taken."""

BITMAP_SIZES = (109, 160, 96, 64)
"""Pixels; fonts of coloured pictures, such as Noto Color Emoji, come in one of these sizes alone."""


MAX_CAPTION_LINES = 3

Colour = str | tuple[int, int, int]


class CaptionFont:
    """A size of text in pixels, whatever the script.

    Args:
        size: In pixels.
        bold: Bold where the character is in DejaVu Sans.
    """

    def __init__(self, size: int, *, bold: bool = False) -> None:
        self.size = size
        self._base = str(_dejavu(bold=bold))

    def getlength(self, text: str) -> float:
        """Width of a line in pixels."""
        return sum(_length(part, path, self.size) for part, path in self._parts(text))

    def draw(
        self, page: Image.Image, xy: tuple[float, float], text: str, *, fill: Colour, anchor: str = "la"
    ) -> None:
        """Draw a line.

        Args:
            page: RGB.
            xy: Where the anchor lies.
            text: Without line breaks.
            fill: Its colour.
            anchor: As Pillow's: l, m or r, then a or m.
        """
        x, y = xy
        base = _truetype(self._base, self.size)
        x -= self.getlength(text) * "lmr".index(anchor[0]) / 2
        # All parts stand on one base line.
        ascent, descent = base.getmetrics()
        y += ascent if anchor[1] == "a" else (ascent - descent) / 2
        for part, path in self._parts(text):
            font = _truetype(path, self.size)
            if font.size == self.size:
                ImageDraw.Draw(page).text((x, y), part, fill=fill, font=font, anchor="ls")
            else:
                _draw_bitmaps(page, (round(x), round(y)), part, font=font, size=self.size)
            x += _length(part, path, self.size)

    def _parts(self, text: str) -> Iterator[tuple[str, str]]:
        """Stretches of one font each, with its file; joiners stay with what they join."""
        paths: list[str] = []
        for character in text:
            joins = paths and unicodedata.category(character) in ("Mn", "Me", "Cf", "Sk")
            paths.append(paths[-1] if joins else _file_with(character, self._base))
        for path, part in groupby(zip(text, paths, strict=True), key=lambda pair: pair[1]):
            yield "".join(character for character, _ in part), path


def caption_lines(expression: str, *, font: CaptionFont, width: float) -> list[str]:
    """The quoted expression on at most ``MAX_CAPTION_LINES`` lines, none longer than ``width`` pixels."""
    words = f"“{' '.join(expression.split())}”".split(" ")
    lines = [words[0]]
    for index, word in enumerate(words[1:], start=1):
        if font.getlength(f"{lines[-1]} {word}") <= width:
            lines[-1] += f" {word}"
        elif len(lines) < MAX_CAPTION_LINES:
            lines.append(word)
        else:
            lines[-1] = " ".join([lines[-1], *words[index:]])
            break
    return [shorten(line, font=font, width=width) for line in lines]


def shorten(text: str, *, font: CaptionFont, width: float) -> str:
    """The text, cut with an ellipsis where it is longer than ``width`` pixels."""
    if font.getlength(text) <= width:
        return text
    end = "…”" if text.endswith("”") else "…"
    fitting = bisect_right(range(1, len(text)), width, key=lambda n: font.getlength(text[:n] + end))
    return text[:fitting].rstrip() + end


def _dejavu(*, bold: bool) -> Path:
    """It comes with matplotlib."""
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name


@lru_cache
def _file_with(character: str, base: str) -> str:
    """A font file that has the character: ``base``, or the first of the installed ones; else ``base``."""
    # Zero-width characters are in few fonts, and nothing is drawn for them.
    if unicodedata.category(character) == "Cf" or ord(character) in _characters(base):
        return base
    for path in _installed():
        if ord(character) in _characters(path):
            return path
    _tell_missing()
    return base


@lru_cache
def _tell_missing() -> None:
    """Once in a process."""
    print_log(
        "captions hold characters that no installed font has; they are drawn as empty boxes. Install a font "
        "that has them, such as Noto Sans CJK (fonts-noto-cjk) or Noto Color Emoji (fonts-noto-color-emoji)",
        logger="current",
        level=logging.WARNING,
    )


@lru_cache
def _installed() -> list[str]:
    def rank(path: str) -> tuple:
        name = Path(path).name.lower().replace("-", "")
        return next((i for i, part in enumerate(PREFERRED) if part in name), len(PREFERRED)), path

    return sorted(font_manager.findSystemFonts(), key=rank)


@lru_cache
def _characters(path: str) -> frozenset[int]:
    try:
        return frozenset(FT2Font(path).get_charmap())
    except (OSError, RuntimeError, ValueError):  # a damaged font has none
        return frozenset()


@lru_cache
def _truetype(path: str, size: int) -> ImageFont.FreeTypeFont:
    for pixels in (size, *BITMAP_SIZES):
        try:
            return ImageFont.truetype(path, pixels)
        except OSError:  # invalid pixel size
            continue
    return ImageFont.truetype(str(_dejavu(bold=False)), size)


def _length(text: str, path: str, size: int) -> float:
    font = _truetype(path, size)
    return font.getlength(text) * _scale(font, size)


def _scale(font: ImageFont.FreeTypeFont, size: int) -> float:
    """Of a font's coloured pictures, which are a little larger than its letters would be."""
    return 1.0 if font.size == size else size / font.size


def _draw_bitmaps(
    page: Image.Image, xy: tuple[int, int], text: str, *, font: ImageFont.FreeTypeFont, size: int
) -> None:
    """Draw coloured pictures at their own size, and scale them down onto the page; ``xy`` is on the line."""
    left, top, right, bottom = font.getbbox(text, anchor="ls")
    picture = Image.new("RGBA", (max(1, round(right - left)), max(1, round(bottom - top))))
    ImageDraw.Draw(picture).text((-left, -top), text, font=font, anchor="ls", embedded_color=True)
    scale = _scale(font, size)
    small = picture.resize([max(1, round(side * scale)) for side in picture.size], Image.Resampling.LANCZOS)
    place = (xy[0] + round(left * scale), xy[1] + round(top * scale))
    page.paste(small, place, small)
