"""Names and numbers of the mask decoder in the authors' code (github.com/jcwang0602/MLLMSeg).

The reference data is ``<repository>/../shared/golden``: random weights by manifest, and what the authors'
code computes with them.
"""

import importlib.util
import json
import math
from pathlib import Path

import mmseg.registry
import numpy as np
import pytest
import torch

from mmseg_mllm.errors import CheckpointError
from mmseg_mllm.models.checkpoints import check_state_dict
from mmseg_mllm.conversion.head_names import head_state_dict_from_official, head_state_dict_to_official

GOLDEN = Path(__file__).resolve().parents[3] / "shared" / "golden"
HAS_GOLDEN = (GOLDEN / "resdecoder.npz").is_file()
WIDTHS = ["absent"]
if HAS_GOLDEN:
    with np.load(GOLDEN / "resdecoder.npz") as arrays:
        WIDTHS = sorted({int(key.split("/")[0].removeprefix("txt")) for key in arrays.files})
needs_golden = pytest.mark.skipif(not HAS_GOLDEN, reason=f"reference data {GOLDEN}/resdecoder.npz is absent")
each_width = pytest.mark.parametrize("width", WIDTHS)


def load_script(name):
    spec = importlib.util.spec_from_file_location(name, GOLDEN / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def load_manifest(width):
    return json.loads((GOLDEN / f"manifest_resdecoder_{width}.json").read_text())


def head_of_shapes(shapes):
    """The DSFFHead whose sizes are those of the official tensors ``{name: shape}``."""
    channels, width = shapes["res_decoder.img_llm_down.weight"]
    return mmseg.registry.MODELS.build(
        dict(
            type="DSFFHead",
            in_channels=[channels, width],
            channels=channels,
            mask_scale=math.isqrt(shapes["res_decoder.conv1.0.weight"][0]),
            feedforward_channels=shapes["res_decoder.ca_layer_vl.decoder.layers.0.linear1.weight"][0],
        )
    )


def tiny_head(**kwargs):
    sizes = dict(in_channels=[16, 12], channels=16, mask_scale=2)
    return mmseg.registry.MODELS.build(dict(type="DSFFHead", **{**sizes, **kwargs}))


@needs_golden
@each_width
def test_names_and_shapes_of_the_authors(width):
    expected = {name: tuple(spec["shape"]) for name, spec in load_manifest(width)["tensors"].items()}
    with torch.device("meta"):
        head = head_of_shapes(expected)
    official = head_state_dict_to_official(head.state_dict())
    assert {name: tuple(tensor.shape) for name, tensor in official.items()} == expected


@needs_golden
@each_width
@torch.inference_mode()
def test_numbers_of_the_authors(width):
    manifest = load_manifest(width)
    weights = load_script("make_official_checkpoint").build_state_dict(manifest)
    head = head_of_shapes({name: tensor.shape for name, tensor in weights.items()}).eval()
    head.load_state_dict(head_state_dict_from_official(weights), strict=True)

    set_prefix = json.loads((GOLDEN / "manifest_qwen2.json").read_text())["prefix"]
    inputs = load_script("golden_inputs").resdecoder_inputs(set_prefix, width)
    detail, semantic, queries = (torch.from_numpy(array) for array in inputs)
    side = math.isqrt(detail.shape[1])
    detail = detail.mT.unflatten(2, (side, side))
    semantic = semantic.mT.unflatten(2, (math.isqrt(semantic.shape[1]), -1))

    seen = {}
    for name in ("fusion", "fusion.cross_attention", "decoder"):
        module = head.get_submodule(name)
        module.register_forward_hook(lambda _, inputs, output, name=name: seen.update({name: output}))
    head.mask_conv.register_forward_pre_hook(lambda _, inputs: seen.update(decoded=inputs[0]))
    encoded = head.encode(detail, semantic)
    logits = head.decode(encoded, queries[:, 0], torch.zeros(len(queries), dtype=torch.int64))[:, 0]
    attended = seen["fusion.cross_attention"][0].mT.unflatten(1, (side, side))
    ours = dict(
        img_vit_l_32=attended[::16, ::4, ::4],
        text_out_adapter=seen["fusion"][0].flatten(1).mT[::16, ::16],
        tgt=seen["decoded"][:, ::16, ::4, ::4],
        mask_logits=logits[:, ::8, ::8],
        mask=logits.sigmoid()[:, ::8, ::8],
    )
    with np.load(GOLDEN / "resdecoder.npz") as arrays:
        official = {
            key.split("/")[1]: torch.from_numpy(arrays[key])
            for key in arrays.files
            if key.startswith(f"txt{width}/")
        }
    assert official.keys() == ours.keys()
    for name, expected in official.items():
        torch.testing.assert_close(ours[name], expected, rtol=0, atol=1e-4, msg=lambda m, n=name: f"{n}: {m}")

    whole = json.loads((GOLDEN / "resdecoder.json").read_text())[str(width)]
    assert sum(param.numel() for param in head.parameters()) == whole["params"]
    for name, full in dict(mask_logits=logits, mask=logits.sigmoid()).items():
        stats = whole["stats"][name]
        assert [len(full), 1, *full.shape[1:]] == stats["shape"]
        torch.testing.assert_close(
            full.double().mean((1, 2)), torch.tensor(stats["per_query_mean"]).double(), rtol=0, atol=1e-4
        )
        assert full.double().std(correction=0).item() == pytest.approx(stats["std"], abs=1e-4)


@pytest.mark.parametrize(
    ("official", "ours"),
    [
        ("img_llm_down.weight", "semantic_proj.weight"),
        ("text_down.bias", "query_proj.bias"),
        ("text_out_adapter.weight", "fusion.proj.weight"),
        (
            "ca_layer_v2l.decoder.layers.0.self_attn.in_proj_weight",
            "fusion.cross_attention.self_attn.in_proj_weight",
        ),
        (
            "ca_layer_v2l.decoder.layers.0.multihead_attn.out_proj.bias",
            "fusion.cross_attention.cross_attn.out_proj.bias",
        ),
        ("ca_layer_v2l.decoder.norm.weight", "fusion.cross_attention.final_norm.weight"),
        ("upsample_adapter_l.init_pos", "fusion.upsample.init_pos"),
        ("upsample_adapter_l.offset.weight", "fusion.upsample.offset.weight"),
        ("ca_layer_vl.decoder.layers.0.multihead_attn.in_proj_bias", "decoder.cross_attn.in_proj_bias"),
        ("ca_layer_vl.decoder.layers.0.norm3.bias", "decoder.norm3.bias"),
        ("conv1.0.weight", "mask_conv.weight"),
        ("conv1.1.running_var", "mask_norm.running_var"),
        ("conv2.bias", "mask_out.bias"),
    ],
)
def test_name(official, ours):
    state = tiny_head().state_dict()
    assert head_state_dict_to_official(state)[f"res_decoder.{official}"] is state[ours]


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
