import json

import pytest

from mmseg_mllm.batch.names import FileNames
from mmseg_mllm.batch.records import RecordWriter, merge_records, own_file, read_records, record_files
from mmseg_mllm.errors import ConfigError, DataError


def record(image: str) -> dict:
    return dict(image=image, width=4, height=3, results=[])


def images(path):
    return [found["image"] for _, found in read_records(path)]


def test_a_torn_last_line_is_dropped_and_written_over(tmp_path):
    path = tmp_path / "results.jsonl"
    whole = json.dumps(record("a")).encode() + b"\n"
    for torn in (whole[:-1], whole[:5], b"\xff" * 200_000, b"{}"):
        path.write_bytes(whole + torn)
        assert images(path) == ["a"]
        writer = RecordWriter(path)
        writer.write(record("ü\udc80"))
        assert images(path) == ["a", "ü\udc80"]  # at once
        writer.close()
    path.write_bytes(whole[:7])
    RecordWriter(path).close()
    assert path.read_bytes() == b""


@pytest.mark.parametrize(
    "line", [b"[1]", b"{}", b'{"image": 1}', b"\xff", b"[" * 9000, b'{"image":"x","results":[5]}']
)
def test_other_lines_are_told(tmp_path, line):
    path = tmp_path / "results.jsonl"
    path.write_bytes(json.dumps(record("a")).encode() + b"\n" + line + b"\n")
    with pytest.raises(DataError, match=r"results\.jsonl, line 2"):
        images(path)


def test_files_of_several_processes_become_one(tmp_path):
    for rank, names in enumerate(("ab", "cd", "be")):
        writer = RecordWriter(own_file(tmp_path, rank))
        for name in names:
            writer.write(record(name))
        writer.close()
    assert len(record_files(tmp_path)) == 3
    merge_records(tmp_path)
    assert images(tmp_path / "results.jsonl") == list("abcde")
    assert record_files(tmp_path) == [tmp_path / "results.jsonl"]


def test_two_runs_do_not_write_at_once(tmp_path):
    pytest.importorskip("fcntl")
    writer = RecordWriter(tmp_path / "results.jsonl")
    with pytest.raises(ConfigError, match="another process writes there"):
        RecordWriter(tmp_path / "results.jsonl")
    writer.close()


def test_each_image_has_file_names_of_its_own():
    paths = [
        "/a/photo.jpg",
        "/b/PHOTO.png",
        "/c/dog.jpg",
        "/c/a b/ü?.jpg",
        "https://x/y/cat.jpg?w=3",
        "/d/.jpg",
    ]
    names = FileNames(paths)
    found = [names[path] for path in paths]
    assert found[2:5] == ["dog", "ü_", "cat"]
    assert found[0].startswith("photo-")
    assert found[1].startswith("PHOTO-")
    assert len({name.casefold() for name in found}) == len(paths)
    assert len(FileNames(["/" + "x" * 300])["/" + "x" * 300]) <= 80
