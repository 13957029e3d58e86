"""Names of the mask decoder in the authors' code; the part 'decoder' of tests/golden compares numbers."""

import mmseg.registry
import pytest
import torch

from mmseg_mllm.conversion.head_names import head_state_dict_from_official, head_state_dict_to_official
from mmseg_mllm.errors import CheckpointError
from mmseg_mllm.models.checkpoints import check_state_dict


def tiny_head(**kwargs):
    sizes = dict(in_channels=[16, 12], channels=16, mask_scale=2)
    return mmseg.registry.MODELS.build(dict(type="DSFFHead", **{**sizes, **kwargs}))


def test_exact_inverses():
    state = tiny_head().state_dict()
    official = head_state_dict_to_official(state)
    assert all(name.startswith("res_decoder.") for name in official)
    back = head_state_dict_from_official(official)
    assert list(back) == list(state)
    assert all(back[name] is tensor for name, tensor in state.items())
    again = head_state_dict_to_official(back)
    assert list(again) == list(official)
    assert all(again[name] is tensor for name, tensor in official.items())


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
    official = head_state_dict_to_official(tiny_head().state_dict())
    with pytest.raises(CheckpointError, match=name):
        head_state_dict_from_official({**official, name: torch.zeros(1)})


def test_missing_official_tensor():
    official = head_state_dict_to_official(tiny_head().state_dict())
    del official["res_decoder.ca_layer_vl.decoder.norm.bias"]
    with pytest.raises(
        CheckpointError, match=r"1 tensors missing.*res_decoder\.ca_layer_vl\.decoder\.norm\.b"
    ):
        head_state_dict_from_official(official)


@pytest.mark.parametrize(
    ("kwargs", "named"),
    [
        (dict(in_channels=[8, 12]), "detail_proj.weight"),
        (dict(num_classes=3), "class_queries.weight"),
        (dict(fusion="concat"), "fusion.cross_attention.self_attn.in_proj_weight"),
        (dict(norm_cfg=dict(type="GN", num_groups=2)), "mask_norm.running_mean"),
    ],
)
def test_head_that_the_authors_do_not_have(kwargs, named):
    with pytest.raises(CheckpointError, match=named):
        head_state_dict_to_official(tiny_head(**kwargs).state_dict())


def test_weights_of_another_width():
    state = head_state_dict_from_official(head_state_dict_to_official(tiny_head().state_dict()))
    head = tiny_head(in_channels=[16, 20])
    head.register_load_state_dict_pre_hook(check_state_dict)
    with pytest.raises(CheckpointError, match=r"semantic_proj\.weight has shape \(16, 12\).*\(16, 20\)"):
        head.load_state_dict(state)
