import numpy as np
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from PIL import Image

from mmseg_mllm.visualization import fonts
from mmseg_mllm.visualization.fonts import CaptionFont, caption_lines

CAT, DOG = "猫", "\N{DOG FACE}"


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Fonts of this machine: one with a full black square for the cat, and a damaged one."""
    pen = TTGlyphPen(None)
    for k, corner in enumerate([(0, 0), (0, 1000), (1000, 1000), (1000, 0)]):
        (pen.lineTo if k else pen.moveTo)(corner)
    pen.closePath()
    square, empty = pen.glyph(), TTGlyphPen(None).glyph()
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder([".notdef", "cat"])
    builder.setupCharacterMap({ord(CAT): "cat"})
    builder.setupGlyf({".notdef": empty, "cat": square})
    builder.setupHorizontalMetrics({".notdef": (1000, 0), "cat": (1000, 0)})
    builder.setupHorizontalHeader(ascent=1000, descent=0)
    builder.setupNameTable(dict(familyName="Cats", styleName="Regular"))
    builder.setupOS2()
    builder.setupPost()
    builder.save(tmp_path / "cats.ttf")
    (tmp_path / "broken.ttf").write_bytes(b"no font")
    paths = [str(tmp_path / "broken.ttf"), str(tmp_path / "cats.ttf")]
    monkeypatch.setattr(fonts.font_manager, "findSystemFonts", lambda: paths)
    said = []
    monkeypatch.setattr(fonts, "print_log", lambda text, **kwargs: said.append(text))
    caches = (fonts._installed, fonts._file_with, fonts._tell_missing)
    for cache in caches:
        cache.cache_clear()
    yield said
    for cache in caches:
        cache.cache_clear()


def drawn(text: str, **kwargs) -> np.ndarray:
    page = Image.new("RGB", (200, 60), "white")
    CaptionFont(20).draw(page, (100, 10), text, fill="black", **kwargs)
    return np.array(page)[..., 0] < 128


def test_an_installed_font_is_taken_for_what_dejavu_lacks(installed):
    ink = drawn(CAT)
    assert ink.sum() == 20 * 20
    assert ink[:, 100:120].sum() == ink.sum()
    assert CaptionFont(20).getlength(f"{CAT}{CAT}") == 40
    mixed = CaptionFont(20).getlength(f"a {CAT} b")
    assert mixed == pytest.approx(CaptionFont(20).getlength("a  b") + 20)
    assert not installed


@pytest.mark.parametrize(("anchor", "left"), [("la", 100), ("ma", 90), ("ra", 80)])
def test_anchors(installed, anchor, left):
    assert drawn(CAT, anchor=anchor)[:, left : left + 20].sum() == 20 * 20


def test_characters_that_no_font_has_are_told_once(installed):
    for _ in range(2):
        assert drawn(f"{DOG} 犬").any()
    (note,) = installed
    assert "no installed font has" in note
    assert "fonts-noto-cjk" in note


def test_known_letters_and_joiners_need_no_other_font(installed):
    assert drawn("l'été, Ёлка, Ελλάδα, e\u0301 \u200d\ufe0f").any()
    assert not installed


def test_lines_of_a_language_without_spaces_are_cut_to_the_width(installed):
    (line,) = caption_lines(CAT * 50, font=CaptionFont(20), width=200)
    assert CaptionFont(20).getlength(line) <= 200
    assert line.startswith(f"“{CAT}")
    assert line.endswith("…”")
