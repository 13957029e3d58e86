import os

import pytest

from mmseg_mllm.batch.images import find_images
from mmseg_mllm.errors import DataError


@pytest.fixture
def folder(tmp_path):
    for name in ("b.JPG", "a.png", "notes.md", "sub/deep/c.webp", "sub/d.jpg", "out/overlays/a.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def names(folder, *given, **options):
    return [os.path.relpath(image, folder) for image in find_images(map(str, given), **options)]


def test_folders_patterns_files_and_lists(folder, monkeypatch):
    below = ["a.png", "b.JPG", "sub/d.jpg", "sub/deep/c.webp"]
    assert names(folder, folder, leave_out=folder / "out") == below
    assert names(folder, folder / "*.png", folder / "sub/**/*.webp") == ["a.png", "sub/deep/c.webp"]
    assert names(folder, folder / "sub/*") == ["sub/d.jpg", "sub/deep/c.webp"]
    assert names(folder, folder / "notes.md") == ["notes.md"]  # a file that is named is meant
    monkeypatch.chdir(folder / "sub")
    assert names(folder, "d.jpg", "../sub/d.jpg", folder / "sub") == ["sub/d.jpg", "sub/deep/c.webp"]
    (folder / "sub/list.txt").write_text("\ufeff d.jpg\r\n\n../a.png\nnot there.jpg\nhttps://host/x.jpg\n")
    monkeypatch.chdir(folder)
    found = find_images(["sub/list.txt"])
    assert found[3] == "https://host/x.jpg"
    assert [os.path.relpath(image, folder) for image in found[:3]] == [
        "sub/d.jpg",
        "a.png",
        "sub/not there.jpg",
    ]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("nothing.jpg", "no such image"),
        ("*.gif", "no such image"),
        ("*.md", "none of which is an image"),
        ("empty", "no image in this folder"),
        ("empty.txt", "the list is empty"),
        ("binary.txt", "no text"),
        ("latin.txt", "no text in UTF-8"),
        ("x" * 5000, "no such image|can't be looked for"),
        ("zero\0byte", "no such image|can't be looked for"),
    ],
)
def test_what_is_no_image_is_told(folder, monkeypatch, given, message):
    monkeypatch.chdir(folder)
    (folder / "empty").mkdir()
    (folder / "empty.txt").write_text("\n \n")
    (folder / "binary.txt").write_bytes(b"a\0b")
    (folder / "latin.txt").write_bytes("Größe.jpg".encode("latin-1"))
    with pytest.raises(DataError, match=message):
        find_images([given])
