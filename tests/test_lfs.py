import json
import pickle

import pytest

from mmseg_mllm.conversion.convert import convert_internvl
from mmseg_mllm.conversion.tokenizers import load_tokenizer
from mmseg_mllm.datasets.images import image_size, read_rgb
from mmseg_mllm.datasets.refer import load_instances, load_refs
from mmseg_mllm.datasets.referring_json import load_referring_json
from mmseg_mllm.errors import CheckpointError, DataError
from mmseg_mllm.lfs import refuse_lfs_pointer
from mmseg_mllm.models.backbones.hf_model import check_folder
from mmseg_mllm.models.checkpoints import readable
from mmseg_mllm.models.model_folder import read_tensors

POINTER = (
    b"version https://git-lfs.github.com/spec/v1\n"
    b"oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\n"
    b"size 12345\n"
)


def load_weights(path):
    with readable(str(path)):
        raise AssertionError("opened")


READERS = {
    "refs(unc).p": load_refs,
    "grefs(unc).json": load_refs,
    "instances.json": load_instances,
    "own.json": load_referring_json,
    "a.jpg": read_rgb,
    "b.jpg": image_size,
    "epoch_1.pth": load_weights,
    "decode_head.safetensors": read_tensors,
    "model-00001-of-00002.safetensors": lambda path: check_folder(str(path.parent)),
    "tokenizer_config.json": lambda path: load_tokenizer(path.parent),
    "config.json": lambda path: convert_internvl(path.parent, path.parent / "out"),
}


@pytest.mark.parametrize("name", READERS)
def test_each_reader_says_what_it_is_and_how_to_get_it(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(POINTER)
    with pytest.raises((DataError, CheckpointError)) as caught:
        READERS[name](path)
    assert str(path) in str(caught.value)
    assert "Git LFS pointer" in str(caught.value)
    assert "git lfs pull" in str(caught.value)


def test_a_tokenizer_model(tmp_path):
    pytest.importorskip("sentencepiece")
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(dict(tokenizer_class="InternLM2Tokenizer")))
    (tmp_path / "tokenizer.model").write_bytes(POINTER)
    with pytest.raises(CheckpointError, match=r"tokenizer\.model: only a Git LFS pointer"):
        load_tokenizer(tmp_path)


@pytest.mark.parametrize("content", [b"", POINTER[1:], POINTER + b" " * 2000, pickle.dumps([])])
def test_all_else_is_left_to_its_reader(tmp_path, content):
    path = tmp_path / "file"
    path.write_bytes(content)
    refuse_lfs_pointer(path, DataError)
