"""Models by name, with the hub's own client against a server on this machine."""

import errno
import json
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from helpers.hub_server import hub_server
from helpers.original_folder import write_original
from huggingface_hub import constants

from mmseg_mllm.apis import RESPredictor
from mmseg_mllm.conversion.convert import convert_mllmseg
from mmseg_mllm.errors import CheckpointError, ConfigError
from mmseg_mllm.golden.mllm_part import MLLMPart
from mmseg_mllm.golden.official_folder import write_official_folder
from mmseg_mllm.hub import converted, fetch, find_model

NAME = "authors/MLLMSeg_tiny_RES"
TEXTS = ["word7 word9", "word30"]


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """A release of the authors, with code in it."""
    folder = write_original(tmp_path_factory.mktemp("original") / "src")
    (folder / "modeling_mllmseg.py").write_text("raise SystemExit('this must not be run')")
    (folder / "pytorch_model.bin").write_bytes(b"the same weights again")
    return folder


@pytest.fixture(scope="module")
def by_hand(original, tmp_path_factory):
    """The same, converted."""
    folder = tmp_path_factory.mktemp("by_hand") / "model"
    convert_mllmseg(original, folder)
    return folder


@pytest.fixture
def home(tmp_path, monkeypatch):
    """HF_HOME."""
    for name, path in (("HF_HOME", tmp_path / "hf"), ("HF_HUB_CACHE", tmp_path / "hf" / "hub")):
        monkeypatch.setattr(constants, name, str(path))
    return tmp_path / "hf"


@pytest.fixture
def hub(home, original, monkeypatch):
    with hub_server() as server:
        server.add(NAME, original)
        monkeypatch.setattr(constants, "ENDPOINT", server.url)
        monkeypatch.setattr(
            constants,
            "HUGGINGFACE_CO_URL_TEMPLATE",
            server.url + "/{repo_id}/resolve/{revision}/{filename}",
        )
        yield server


def answers(predictor):
    predictor.set_image(np.random.default_rng(0).integers(0, 255, (20, 50, 3), dtype=np.uint8))
    return np.stack([found.probability for found in predictor.segment(TEXTS)])


def load(name, **kwargs):
    return RESPredictor.from_pretrained(name, device="cpu", **kwargs)


def left_over(folder):
    """Files and folders that a conversion might have left half-made."""
    return [path for path in folder.rglob(".*") if path.is_dir()]


def test_a_release_is_downloaded_converted_once_and_kept(hub, home, original, by_hand):
    predictor = load(NAME)
    np.testing.assert_array_equal(answers(predictor), answers(load(by_hand)))
    commit = hub.repos[NAME].head
    assert predictor.source.revision == commit
    assert predictor.source.folder.is_relative_to(home)
    assert commit in predictor.source.folder.name
    assert not [line for line in hub.asked if ".py" in line or ".bin" in line]
    assert not list(home.rglob("*.py"))
    assert not left_over(home / "mmseg_mllm")
    made = (predictor.source.folder / "model.safetensors").stat().st_mtime_ns
    hub.asked.clear()
    assert find_model(NAME).folder == predictor.source.folder
    assert len(hub.asked) == 1  # whether there is something newer
    assert (predictor.source.folder / "model.safetensors").stat().st_mtime_ns == made


def test_a_newer_commit_is_another_model(hub, tmp_path):
    first = find_model(NAME)
    other = write_original(tmp_path / "other", seed=1)
    commit = hub.add(NAME, other)
    assert find_model(NAME).revision == commit != first.revision
    again = find_model(NAME, revision=first.revision)
    assert again.folder == first.folder
    assert (answers(load(NAME)) != answers(load(NAME, revision=first.revision))).any()


def test_without_a_network_it_is_what_was_there(hub, home, monkeypatch):
    online = find_model(NAME)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    shutil.rmtree(home / "hub")  # the download is needed no more
    assert find_model(NAME).folder == online.folder
    with pytest.raises(
        CheckpointError, match=r"other/model: http://127\.0\.0\.1:9 can't be reached \(.*\), and"
    ) as told:
        find_model("other/model")
    assert NAME in str(told.value)
    assert "\n" not in str(told.value)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert find_model(NAME).revision == online.revision
    with pytest.raises(CheckpointError, match=r"other/model: HF_HUB_OFFLINE is set, and it is not among"):
        find_model("other/model")
    with pytest.raises(CheckpointError, match=r"authors/MLLMSeg_tiny_RES \(revision v2\): HF_HUB_OFFLINE"):
        find_model(NAME, revision="v2")


def test_what_another_tool_downloaded_serves_without_a_network(hub, home, by_hand, monkeypatch):
    from huggingface_hub import snapshot_download

    snapshot_download(NAME)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    np.testing.assert_array_equal(answers(load(NAME)), answers(load(by_hand)))


def test_a_connection_that_breaks_off_is_taken_up_again(hub, by_hand, monkeypatch):
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 10_000)  # what came of a small file counts, too
    hub.cut = 50_000
    np.testing.assert_array_equal(answers(load(NAME)), answers(load(by_hand)))
    assert [line.split()[2:] for line in hub.downloads()] == [[], ["bytes=50000-"]]


def test_a_download_that_failed_goes_on_with_the_files_that_are_missing(hub, home, by_hand, tmp_path):
    sharded = write_original(tmp_path / "sharded", shard_bytes=100_000)
    hub.repos.clear()
    hub.add(NAME, sharded)
    shards = {path.read_bytes() for path in sharded.glob("model-*.safetensors")}
    assert len(shards) > 3
    hub.broken = max(shards)
    with pytest.raises(CheckpointError, match=f"{NAME}: .*answers 500; the download broke off: ask again"):
        find_model(NAME)
    assert not left_over(home / "mmseg_mllm")
    hub.broken = None
    hub.asked.clear()
    np.testing.assert_array_equal(answers(load(NAME)), answers(load(by_hand)))
    assert len(hub.downloads()) < len(shards) - 1


def test_a_conversion_that_fails_or_is_killed_leaves_nothing(hub, home, original, by_hand, tmp_path):
    from helpers.original_folder import as_one_file, tensors_of

    broken = shutil.copytree(original, tmp_path / "broken")
    tensors = tensors_of(original)
    tensors.pop("vision_model.encoder.layers.1.norm1.weight")
    as_one_file(broken, tensors)
    hub.add("authors/broken", broken)
    with pytest.raises(CheckpointError, match=r"^authors/broken: .* tensors are missing"):
        find_model("authors/broken")
    kept = home / "mmseg_mllm" / "models"
    assert not left_over(kept)
    with pytest.raises(CheckpointError, match="tensors are missing"):
        find_model("authors/broken")
    # As SIGKILL leaves it.
    target = converted.converted_folder(NAME, hub.repos[NAME].head)
    half = target.parent / f".{target.name}-abc"
    half.mkdir(parents=True)
    (half / "model.safetensors").write_bytes(b"half")
    np.testing.assert_array_equal(answers(load(NAME)), answers(load(by_hand)))
    assert not left_over(kept)


def test_a_release_by_name_gives_the_masks_of_the_authors_code(hub, golden, tmp_path):
    part = MLLMPart(folder=golden, name="internlm2")
    write_official_folder(part.manifest, tmp_path / "official")
    hub.add("authors/golden", tmp_path / "official")
    checks = part.check_inference(load("authors/golden").model)
    assert "mask_logits" in {check.array.removesuffix("__slice") for check in checks}
    assert [check for check in checks if check.passed is False] == []


def test_a_model_folder_is_taken_as_it_is(hub, by_hand):
    hub.add("me/mine", by_hand)
    predictor = load("me/mine")
    np.testing.assert_array_equal(answers(predictor), answers(load(by_hand)))
    assert predictor.source.folder.parent.name == "snapshots"


@pytest.mark.parametrize(
    ("name", "revision", "message"),
    [
        ("nobody/nothing", None, "no such folder here, and no such model on 127.0.0.1:.*check its spelling"),
        (NAME, "v9", "has no branch, tag or commit 'v9'"),
        (
            "meta/gated",
            None,
            "is gated; ask for access at http.*/meta/gated, then log in with `hf auth login`",
        ),
        ("google/bert", None, "neither a model folder of mmseg_mllm nor a release.*model_type 'bert'"),
        ("some/dataset", None, "neither a model folder of mmseg_mllm nor a release.*holds train.csv"),
        ("OpenGVLab/base", None, "a base without a mask decoder; it is for training"),
        ("me/old", None, "of an earlier version, without mmseg_mllm.json.*describe_folder.py"),
    ],
)
def test_refusals_name_the_model_and_what_to_do(hub, name, revision, message, by_hand, tmp_path):
    for other, files in (
        ("meta/gated", {"config.json": {}, "model.safetensors": {}}),
        ("google/bert", {"config.json": dict(model_type="bert"), "model.safetensors": {}}),
        ("some/dataset", {"train.csv": {}}),
    ):
        folder = tmp_path / other
        folder.mkdir(parents=True)
        for file, content in files.items():
            (folder / file).write_text(json.dumps(content))
        hub.add(other, folder)
    hub.repos["meta/gated"].gated = True
    hub.add("OpenGVLab/base", write_original(tmp_path / "base", with_head=False))
    old = shutil.copytree(by_hand, tmp_path / "old")
    (old / "mmseg_mllm.json").unlink()
    hub.add("me/old", old)
    with pytest.raises(CheckpointError, match=f"^{name}: .*{message}") as told:
        find_model(name, revision=revision)
    assert "\n" not in str(told.value)
    assert not hub.downloads()


def test_a_full_disk_is_told_before(hub, home, monkeypatch):
    usage = shutil.disk_usage(home.parent)
    full = SimpleNamespace(disk_usage=lambda path: usage._replace(free=1000))
    monkeypatch.setattr(fetch, "shutil", full)
    with pytest.raises(ConfigError, match=rf"{NAME}: needs .* GB \(.* to download, .* converted\).*HF_HOME"):
        find_model(NAME)
    assert not hub.downloads()


@pytest.mark.parametrize(
    ("number", "message"),
    [(errno.ENOSPC, "is full; free some space"), (errno.EROFS, "can't be written to")],
)
def test_a_disk_that_fills_up_or_can_not_be_written_to(hub, monkeypatch, number, message):
    def fail(*args, **kwargs):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fetch, "snapshot_download", fail)
    with pytest.raises(ConfigError, match=f"^{NAME}: .*{message}.*HF_HOME"):
        find_model(NAME)


def test_names_that_are_none(hub, tmp_path, by_hand):
    (tmp_path / "model.pth").write_bytes(b"x")
    for name, error, message in (
        (tmp_path / "model.pth", CheckpointError, "is a file; a checkpoint is loaded with its config"),
        (tmp_path / "nothing", CheckpointError, "no such folder, and not a hub name"),
        ("gpt2", CheckpointError, "no such folder, and not a hub name"),
        ("a/b/c", CheckpointError, "not a hub name"),
        ("../up", CheckpointError, "not a hub name"),
    ):
        with pytest.raises(error, match=message):
            load(name)
    with pytest.raises(ConfigError, match="revision='main' is of hub names"):
        load(by_hand, revision="main")
    assert not hub.asked


def test_packaged_models(monkeypatch, by_hand, tmp_path):
    from mmseg_mllm import weights

    monkeypatch.setattr(weights, "__file__", str(tmp_path / "__init__.py"))
    with pytest.raises(CheckpointError, match="'tiny': no such weights in this installation"):
        load("tiny")
    shutil.copytree(by_hand, tmp_path / "tiny")
    assert load("tiny").source.name == "tiny"


def test_asked_for_by_several_at_once_it_is_converted_once(hub, monkeypatch):
    """By threads, for which file locks hold as for processes."""
    from mmseg_mllm.conversion import convert

    calls, real = [], convert.convert_mllmseg
    monkeypatch.setattr(convert, "convert_mllmseg", lambda *paths: (calls.append(1), real(*paths)))
    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(find_model, [NAME] * 3))
    assert len({source.folder for source in found}) == len(calls) == 1


def test_pushed_and_loaded_again(hub, by_hand):
    predictor = load(by_hand)
    url = predictor.push_to_hub(
        "me/pushed",
        token="hf_x",
        base="OpenGVLab/InternVL2_5-1B",
        data=["refcoco"],
        figures={"RefCOCO val": {"cIoU": 74.9}},
        protocol="paper",
    )
    repo = hub.repos["me/pushed"]
    assert url.endswith(repo.head)
    card = repo.commits[repo.head]["README.md"].decode()
    for line in ("library_name: mmseg_mllm", "base_model: OpenGVLab/InternVL2_5-1B", "value: 74.9"):
        assert line in card
    assert "| Asked by protocol | independent, forced |" in card
    assert "Figures, by protocol paper (joint, forced):" in card
    again = load("me/pushed")
    np.testing.assert_array_equal(answers(again), answers(predictor))
    assert {p: t.dtype for p, t in again.model.state_dict().items()} == {
        p: t.dtype for p, t in predictor.model.state_dict().items()
    }
    assert torch.equal(again.model.decode_head.mask_out.weight, predictor.model.decode_head.mask_out.weight)
