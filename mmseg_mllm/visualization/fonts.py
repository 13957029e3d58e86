"""Text on pictures: DejaVu Sans, and for characters that it lacks any installed font that has them."""

import unicodedata
import warnings
from collections.abc import Iterator
from functools import lru_cache
from itertools import groupby
from pathlib import Path

import matplotlib
from matplotlib import font_manager
from matplotlib.ft2font import FT2Font
from PIL import Image, ImageDraw, ImageFont

PREFERRED = ("notosanscjk", "sourcehansans", "notosans", "emoji")
"""Parts of file names; of several fonts with a character, the first of these is taken."""

BITMAP_SIZES = (109, 160, 96, 64)
"""Pixels; fonts of coloured pictures, such as Noto Color Emoji, come in one of these sizes alone."""


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
        self, draw: ImageDraw.ImageDraw, xy: tuple[float, float], text: str, *, fill, anchor: str = "la"
    ) -> None:
        """Draw a line.

        Args:
            draw: Of an RGB image.
            xy: Where the anchor lies.
            text: Without line breaks.
            fill: Colour.
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
                draw.text((x, y), part, fill=fill, font=font, anchor="ls")
            else:
                _draw_bitmaps(draw, (round(x), round(y)), part, font=font, size=self.size)
            x += _length(part, path, self.size)

    def _parts(self, text: str) -> Iterator[tuple[str, str]]:
        """Stretches of one font each, with its file; joiners stay with what they join."""
        paths: list[str] = []
        for character in text:
            joins = paths and unicodedata.category(character) in ("Mn", "Me", "Cf", "Sk")
            paths.append(paths[-1] if joins else _file_with(character, self._base))
        for path, part in groupby(zip(text, paths, strict=True), key=lambda pair: pair[1]):
            yield "".join(character for character, _ in part), path


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
    _tell_missing(unicodedata.name(character, f"U+{ord(character):04X}").split()[0])
    return base


@lru_cache
def _tell_missing(script: str) -> None:
    """Once for each script, such as CJK or HANGUL."""
    warnings.warn(
        f"no installed font has some characters of captions ({script}): they are drawn as empty boxes. "
        "Install one, such as Noto Sans CJK (fonts-noto-cjk) or Noto Color Emoji (fonts-noto-color-emoji)",
        stacklevel=1,
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
    draw: ImageDraw.ImageDraw, xy: tuple[int, int], text: str, *, font: ImageFont.FreeTypeFont, size: int
) -> None:
    """Draw coloured pictures at their own size, and scale them down onto the page; ``xy`` is on the line."""
    left, top, right, bottom = font.getbbox(text, anchor="ls")
    picture = Image.new("RGBA", (max(1, round(right - left)), max(1, round(bottom - top))))
    ImageDraw.Draw(picture).text((-left, -top), text, font=font, anchor="ls", embedded_color=True)
    scale = _scale(font, size)
    small = picture.resize([max(1, round(side * scale)) for side in picture.size], Image.Resampling.LANCZOS)
    place = (xy[0] + round(left * scale), xy[1] + round(top * scale))
    draw._image.paste(small, place, small)
