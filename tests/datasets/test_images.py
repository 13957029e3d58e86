"""Images as people have them; what is right comes from NumPy, Pillow's writers and the formats' own rules."""

import io
import sys
import types
import warnings

import numpy as np
import pytest
from PIL import Image, ImageOps, PngImagePlugin, features

from mmseg_mllm.datasets.images import image_size, is_turned, read_rgb
from mmseg_mllm.errors import DataError

RAMP = np.repeat(np.linspace(0, 255, 64).round().astype(np.uint16)[None], 8, axis=0)
PHOTO = np.random.default_rng(0).integers(0, 256, (20, 33, 3), dtype=np.uint8)
ORIENTATION = 0x0112


@pytest.fixture(autouse=True)
def _no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def exif(orientation: int) -> Image.Exif:
    block = Image.Exif()
    block[ORIENTATION] = orientation
    return block


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.pgm", "a.jp2"])
def test_grey_of_16_bits_is_scaled(tmp_path, name):
    Image.fromarray(RAMP * 257).save(tmp_path / name)
    found = read_rgb(tmp_path / name)
    assert found.dtype == np.uint8
    assert found[3, [0, 16, 32, 63]].tolist() == [[value] * 3 for value in (0, 65, 130, 255)]
    assert np.array_equal(found, np.repeat(RAMP[..., None].astype(np.uint8), 3, axis=2))


def test_grey_of_16_bits_in_other_writings(tmp_path):
    whole = np.repeat(RAMP[..., None].astype(np.uint8), 3, axis=2)
    # Plain PGM; from the highest byte on; with a transparent value; of 12 bits; with white as zero.
    numbers = " ".join(map(str, (RAMP * 257).ravel()))
    (tmp_path / "plain.pgm").write_text(f"P2 64 8 65535\n{numbers}\n")
    (tmp_path / "12.pgm").write_bytes(b"P5 64 8 4095\n" + (RAMP * 4095.0 / 255).astype(">u2").tobytes())
    Image.fromarray((RAMP * 257).astype(">u2")).save(tmp_path / "big.tif")
    Image.fromarray(RAMP * 257).save(tmp_path / "clear.png", transparency=65535)
    Image.fromarray(65535 - RAMP * 257).save(tmp_path / "white.tif", tiffinfo={262: 0})
    for name in ("plain.pgm", "big.tif", "clear.png", "white.tif"):
        assert np.array_equal(read_rgb(tmp_path / name), whole), name
    assert np.abs(read_rgb(tmp_path / "12.pgm").astype(int) - whole).max() <= 1


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_twelve_bits_stored_in_sixteen_are_told_once_and_not_guessed(tmp_path, name):
    whole = np.repeat(RAMP[..., None].astype(np.uint8), 3, axis=2)
    Image.fromarray((RAMP * 257) >> 4).save(tmp_path / name)
    with pytest.warns(UserWarning, match=rf"{name}: .*4095 of 65535.*of 12 bits, multiply them by 16 "):
        found = read_rgb(tmp_path / name)
    assert np.array_equal(found, whole >> 4)
    assert np.array_equal(read_rgb(tmp_path / name), found)  # silent: warnings are errors here
    with Image.open(tmp_path / name) as image:
        Image.fromarray(np.asarray(image) * np.uint16(16)).save(tmp_path / "mended.png")
    assert np.abs(read_rgb(tmp_path / "mended.png").astype(int) - whole).max() <= 1


def test_black_and_dark_of_fewer_bits_are_no_reason_to_warn(tmp_path):
    Image.fromarray(RAMP * 0).save(tmp_path / "black.png")
    assert not read_rgb(tmp_path / "black.png").any()
    Image.fromarray((RAMP // 16).astype(np.uint8)).save(tmp_path / "dark.png")
    assert read_rgb(tmp_path / "dark.png").max() == 15
    Image.fromarray(RAMP * 128).save(tmp_path / "half.png")
    assert read_rgb(tmp_path / "half.png").max() == 127


def test_numbers_without_a_range_are_refused_in_one_line(tmp_path):
    Image.fromarray((RAMP / 255).astype(np.float32)).save(tmp_path / "float.tif")
    Image.fromarray(RAMP.astype(np.int32) * 257).save(tmp_path / "int.tif")
    Image.new("LAB", (9, 9)).save(tmp_path / "lab.tif")
    (tmp_path / "float.pfm").write_bytes(b"Pf\n64 8\n-1.0\n" + (RAMP / 255).astype("<f4").tobytes())
    for name in ("float.tif", "int.tif", "lab.tif", "float.pfm"):
        with pytest.raises(
            DataError, match=rf"{name}: .*convert it to RGB or grey of 8 or 16 bits"
        ) as caught:
            read_rgb(tmp_path / name)
        assert "\n" not in str(caught.value)


def test_transparency_in_all_its_forms_is_dropped(tmp_path):
    palette = Image.fromarray(PHOTO[..., 0] % 4, mode="P")
    palette.putpalette([10, 20, 30, 255, 0, 0, 0, 200, 0, 1, 2, 3])
    looked_up = np.array(palette.convert("RGB"))
    palette.save(tmp_path / "bytes.png", transparency=bytes([0, 255, 128, 3]))
    palette.save(tmp_path / "index.png", transparency=1)
    palette.save(tmp_path / "index.gif", transparency=1)
    for name in ("bytes.png", "index.png", "index.gif"):
        assert np.array_equal(read_rgb(tmp_path / name), looked_up), name
    grey = np.repeat(PHOTO[..., :1], 3, axis=2)
    Image.fromarray(PHOTO[..., 0]).save(tmp_path / "grey.png", transparency=7)
    Image.fromarray(PHOTO[..., :2], mode="LA").save(tmp_path / "la.png")
    for name in ("grey.png", "la.png"):
        assert np.array_equal(read_rgb(tmp_path / name), grey), name
    Image.fromarray(PHOTO).save(tmp_path / "colour.png", transparency=tuple(map(int, PHOTO[0, 0])))
    assert np.array_equal(read_rgb(tmp_path / "colour.png"), PHOTO)


@pytest.mark.parametrize("name", ["a.gif", "a.png", "a.webp", "a.tif"])
def test_an_animation_gives_its_first_picture(tmp_path, name):
    frames = [Image.new("RGB", (30, 20), colour) for colour in ("red", "lime", "blue")]
    frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:], **dict(lossless=True))
    assert np.array_equal(read_rgb(tmp_path / name)[5, 5], [255, 0, 0])


def test_the_first_picture_of_a_camera_with_several(tmp_path):
    main, preview = Image.fromarray(PHOTO), Image.new("RGB", (33, 20), "lime")
    main.save(tmp_path / "a.jpg", "MPO", save_all=True, append_images=[preview], exif=exif(6), quality=95)
    stored = read_rgb(tmp_path / "a.jpg")
    assert np.abs(stored.astype(int) - PHOTO).mean() < 60
    assert np.array_equal(read_rgb(tmp_path / "a.jpg", upright=True), np.rot90(stored, -1))


# What stands where the first row and the first column of the stored pixels are: EXIF's definition.
UPRIGHT = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: a.transpose(1, 0, 2)[:, ::-1],
    7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
    8: lambda a: a.transpose(1, 0, 2)[::-1],
    9: lambda a: a,
}


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp"])
@pytest.mark.parametrize("orientation", UPRIGHT)
def test_orientation(tmp_path, name, orientation):
    path = tmp_path / name
    Image.fromarray(PHOTO).save(path, exif=exif(orientation))
    stored = read_rgb(path)
    assert stored.shape == PHOTO.shape
    upright = read_rgb(path, upright=True)
    assert np.array_equal(upright, UPRIGHT[orientation](stored))
    with Image.open(path) as image:
        assert np.array_equal(upright, np.array(ImageOps.exif_transpose(image).convert("RGB")))
    assert is_turned(path) == (1 < orientation < 9)
    assert image_size(path) == (20, 33)


def test_orientation_of_grey_of_16_bits(tmp_path):
    Image.fromarray(RAMP * 257).save(tmp_path / "a.png", exif=exif(8))
    assert read_rgb(tmp_path / "a.png", upright=True)[[63, 47, 31, 0], 3, 0].tolist() == [0, 65, 130, 255]


def test_orientation_of_a_tiff_is_a_way_to_store_its_rows(tmp_path):
    Image.fromarray(PHOTO).save(tmp_path / "a.tif", tiffinfo={ORIENTATION: 6})
    for upright in (True, False):
        assert np.array_equal(read_rgb(tmp_path / "a.tif", upright=upright), np.rot90(PHOTO, -1))
    assert image_size(tmp_path / "a.tif") == (33, 20)
    assert not is_turned(tmp_path / "a.tif")


def test_a_broken_block_of_exif_does_not_hide_the_image(tmp_path):
    Image.fromarray(PHOTO).save(tmp_path / "a.jpg", exif=b"Exif\0\0II*\0nothing of the kind")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert read_rgb(tmp_path / "a.jpg", upright=True).shape == PHOTO.shape


def test_above_pillows_own_bound(tmp_path, monkeypatch):
    """The same with Pillow's 90 and 180 megapixels, which are made small here."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    for name in ("a.png", "a.tif", "a.gif", "a.jpg", "a.webp"):
        Image.fromarray(PHOTO).save(tmp_path / name)
        assert read_rgb(tmp_path / name).shape == PHOTO.shape
    assert Image.MAX_IMAGE_PIXELS == 100
    monkeypatch.setattr("mmseg_mllm.datasets.images.MAX_PIXELS", 300)
    with pytest.raises(DataError, match=r"660 pixels, the bound is 300.*MMSEG_MLLM_LIMITS=3"):
        read_rgb(tmp_path / "a.png")
    monkeypatch.setenv("MMSEG_MLLM_LIMITS", "3")
    assert read_rgb(tmp_path / "a.png").shape == PHOTO.shape
    assert Image.MAX_IMAGE_PIXELS == 100


@pytest.mark.skipif(not features.check("avif"), reason="needs a Pillow that reads AVIF")
def test_avif(tmp_path):
    smooth = np.array(Image.new("RGB", (33, 20), (200, 60, 20)))
    smooth[:10] = (20, 60, 200)
    Image.fromarray(smooth).save(tmp_path / "a.avif", quality=95, exif=exif(6))
    stored = read_rgb(tmp_path / "a.avif")
    assert np.abs(stored.astype(int) - smooth).mean() < 10
    assert np.array_equal(read_rgb(tmp_path / "a.avif", upright=True), np.rot90(stored, -1))


HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + b"\0" * 100


def test_what_no_reader_is_there_for_is_to_be_converted(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    monkeypatch.delitem(Image.OPEN, "HEIF", raising=False)
    icon = io.BytesIO()
    Image.fromarray(PHOTO).save(icon, "ICO")
    for name, content in (("a.heic", HEIC), ("a.ico", icon.getvalue()), ("a.jpg", b"<html>404</html>")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match=rf"{name}: .*Convert it to JPEG or PNG") as caught:
            read_rgb(tmp_path / name)
        assert "download" not in str(caught.value)
        assert ("HEIF" in str(caught.value)) == (name == "a.heic")


def test_heic_is_read_with_its_plugin(tmp_path, monkeypatch):
    """A stand-in for pillow-heif, which registers itself when asked."""

    def register_heif_opener() -> None:
        def opened(file, name):
            file.close()
            image = PngImagePlugin.PngImageFile(io.BytesIO(png))
            image.format = "HEIF"
            return image

        Image.register_open("HEIF", opened, lambda head: head[4:8] == b"ftyp")

    buffer = io.BytesIO()
    Image.fromarray(PHOTO).save(buffer, "PNG")
    png = buffer.getvalue()
    monkeypatch.setattr(Image, "OPEN", dict(Image.OPEN))
    monkeypatch.setattr(Image, "ID", list(Image.ID))
    Image.OPEN.pop("HEIF", None)
    plugin = types.SimpleNamespace(register_heif_opener=register_heif_opener)
    monkeypatch.setitem(sys.modules, "pillow_heif", plugin)
    (tmp_path / "a.heic").write_bytes(HEIC)
    assert np.array_equal(read_rgb(tmp_path / "a.heic"), PHOTO)
