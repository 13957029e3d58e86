"""Names of the mask decoder in the authors' code; the part 'decoder' of tests/golden compares numbers."""

import mmseg.registry
import pytest
import torch
from helpers.official_head import official_state

from mmseg_mllm.conversion.head_names import head_state_dict_from_official
from mmseg_mllm.errors import CheckpointError
from mmseg_mllm.models.checkpoints import check_state_dict


def tiny_head(in_channels=(16, 12)):
    sizes = dict(in_channels=list(in_channels), channels=16, mask_scale=2)
    return mmseg.registry.MODELS.build(dict(type="DSFFHead", **sizes))


def test_names_go_both_ways():
    state = tiny_head().state_dict()
    official = official_state(state)
    assert all(name.startswith("res_decoder.") for name in official)
    back = head_state_dict_from_official(official)
    assert list(back) == list(state)
    assert all(back[name] is tensor for name, tensor in state.items())


@pytest.mark.parametrize(
    "name",
    [
        "vision_model.embeddings.class_embedding",
        "res_decoder.conv3.weight",
        "res_decoder.conv2.lora_A.weight",
        "res_decoder.semantic_proj.weight",
        "res_decoder.ca_layer_vl.decoder.layers.1.norm1.weight",
        "conv2.weight",
    ],
)
def test_unknown_official_tensor(name):
    official = official_state(tiny_head().state_dict())
    with pytest.raises(CheckpointError, match=name):
        head_state_dict_from_official({**official, name: torch.zeros(1)})


def test_missing_official_tensor():
    official = official_state(tiny_head().state_dict())
    del official["res_decoder.ca_layer_vl.decoder.norm.bias"]
    with pytest.raises(
        CheckpointError, match=r"1 tensors missing.*res_decoder\.ca_layer_vl\.decoder\.norm\.b"
    ):
        head_state_dict_from_official(official)


def test_weights_of_another_width():
    state = head_state_dict_from_official(official_state(tiny_head().state_dict()))
    head = tiny_head(in_channels=[16, 20])
    head.register_load_state_dict_pre_hook(check_state_dict)
    with pytest.raises(CheckpointError, match=r"semantic_proj\.weight has shape \(16, 12\).*\(16, 20\)"):
        head.load_state_dict(state)
