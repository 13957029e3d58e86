"""Counts against arithmetic from the sizes in the config."""

from pathlib import Path

import pytest

from mmseg_mllm.analysis import build_on_meta, count_flops, count_parameters
from mmseg_mllm.analysis.complexity import BRANCH_TOKENS, PREFIX_TOKENS
from mmseg_mllm.engine.config import load_config
from mmseg_mllm.errors import ConfigError

CONFIGS = Path(__file__).parents[2] / "configs" / "mllmseg"
TINY, LARGE = "internvl_tiny_toy.py", "internvl2_5_8b_refcoco.py"
DETAIL = "internvl_tiny_toy_resnet_detail.py"


def model_config(name, **changes):
    return load_config(str(CONFIGS / name), changes).model


def dense(tokens, inputs, outputs):
    """FLOPs of a linear layer."""
    return 2 * tokens * inputs * outputs


def attention(queries, keys, channels):
    """FLOPs of the scores and of the weighted sum, over all pairs."""
    return 2 * 2 * queries * keys * channels


def vision_flops(vision):
    """A ViT with a class token: patch convolution, then layers."""
    width, patch = vision.hidden_size, vision.patch_size
    patches = (vision.image_size // patch) ** 2
    tokens = patches + 1
    layer = dense(tokens, width, 4 * width) + 2 * dense(tokens, width, vision.intermediate_size)
    layer += attention(tokens, tokens, width)
    return dense(patches, 3 * patch**2, width) + vision.num_hidden_layers * layer


def llm_flops(text, prefix, expressions):
    """A decoder with grouped keys and values and a gated MLP; masks need no LM head.

    A branch attends to the prefix and itself.
    """
    width, tokens = text.hidden_size, prefix + expressions * BRANCH_TOKENS
    kv_width = width // text.num_attention_heads * text.num_key_value_heads
    layer = 2 * dense(tokens, width, width) + 2 * dense(tokens, width, kv_width)
    layer += 3 * dense(tokens, width, text.intermediate_size) + attention(prefix, prefix, width)
    layer += expressions * attention(BRANCH_TOKENS, prefix + BRANCH_TOKENS, width)
    return text.num_hidden_layers * layer


def encode_flops(head, vision, text, pixels, coarse):
    """Projections, DSFF of ``pixels`` detail and ``coarse`` semantic tokens, decoder self-attention."""
    C, F = head.channels, head.get("feedforward_channels", head.channels)
    self_attention = dense(pixels, C, 4 * C) + attention(pixels, pixels, C)
    cross_attention = dense(pixels + coarse, C, 2 * C) + attention(pixels, coarse, C)
    dysample = dense(coarse, C, 2 * 4 * 2**2)
    fused = cross_attention + self_attention + 2 * dense(pixels, C, F) + dysample + dense(pixels, 3 * C, C)
    detail = 0 if vision.hidden_size == C else dense(pixels, vision.hidden_size, C)
    return detail + dense(coarse, text.hidden_size, C) + fused + self_attention


def decode_flops(head, text, pixels, patch, expressions):
    """The first feed-forward layer once for the pixels; for each query all that depends on it."""
    C, F = head.channels, head.get("feedforward_channels", head.channels)
    vector = dense(1, text.hidden_size, C) + 2 * dense(1, C, C) + dense(1, C, F) + dense(pixels, C, 1)
    cells = dense(pixels, 9 * C, patch**2) + dense(pixels * patch**2, 25, 1)
    return dense(pixels + 1, C, F) + expressions * (vector + dense(pixels, F, C) + cells)


@pytest.mark.parametrize("name", [TINY, "internvl2_5_1b_refcoco.py", LARGE])
@pytest.mark.parametrize("expressions", [1, 3])
def test_flops_are_those_of_the_layer_sizes(name, expressions):
    config = model_config(name)
    vision, text, head = (
        config.backbone.arch.vision_config,
        config.backbone.arch.text_config,
        config.decode_head,
    )
    pixels = (vision.image_size // vision.patch_size) ** 2
    projector = [(4 * vision.hidden_size, text.hidden_size), (text.hidden_size, text.hidden_size)]
    assert count_flops(build_on_meta(config, merged=True), expressions=expressions) == {
        "vision tower": vision_flops(vision),
        "projector": sum(dense(pixels // 4, *sizes) for sizes in projector),
        "language model": llm_flops(text, PREFIX_TOKENS + pixels // 4, expressions),
        "decoder, per image": encode_flops(head, vision, text, pixels, pixels // 4),
        "decoder, per expression": decode_flops(head, text, pixels, vision.patch_size, expressions),
    }


def test_each_further_expression_costs_the_same():
    segmentor = build_on_meta(model_config(LARGE), merged=True)
    one, two, three = (sum(count_flops(segmentor, expressions=k).values()) for k in (1, 2, 3))
    assert three - two == two - one


def test_a_rectangle_costs_what_a_square_of_as_many_patches_does():
    config = model_config(TINY)
    square = count_flops(build_on_meta(config, merged=True), expressions=2)
    config.backbone.image_size = (64, 144)
    assert count_flops(build_on_meta(config, merged=True), expressions=2) == square


def test_longer_branches_cost_more():
    segmentor = build_on_meta(model_config(TINY), merged=True)
    flops = [count_flops(segmentor, branch_tokens=n)["language model"] for n in (9, 10, BRANCH_TOKENS)]
    assert flops[0] < flops[1] < flops[2] == count_flops(segmentor)["language model"]


def test_lora_costs_flops_unless_merged():
    config = model_config(LARGE)
    lora = count_parameters(build_on_meta(config))["LoRA"]
    apart, merged = (count_flops(build_on_meta(config, merged=m))["language model"] for m in (False, True))
    assert apart - merged == dense(PREFIX_TOKENS + 256 + BRANCH_TOKENS, 1, lora)


def test_detail_backbone_is_a_part_of_its_own():
    """A convolution of 7 x 7, then two blocks of two 3 x 3 ones; each has a norm."""
    plain, more = (build_on_meta(model_config(name), merged=True) for name in (TINY, DETAIL))
    parts = count_parameters(more)
    assert parts["detail backbone"] == 32 * (3 * 49 + 2) + 4 * (32 * 32 * 9 + 2 * 32)
    assert sum(parts.values()) == sum(p.numel() for p in more.parameters())
    flops, without = count_flops(more), count_flops(plain)
    assert flops["detail backbone"] == dense(48**2, 3 * 49, 32) + 4 * dense(24**2, 32 * 9, 32)
    assert flops["language model"] == without["language model"]
    assert flops["decoder, per image"] > without["decoder, per image"]


@pytest.mark.parametrize("name", [TINY, LARGE])
@pytest.mark.parametrize("trained_only", [False, True])
def test_parameter_parts_make_up_the_whole(name, trained_only):
    segmentor = build_on_meta(model_config(name))
    counts = count_parameters(segmentor, trained_only=trained_only)
    whole = [p for p in segmentor.parameters() if p.requires_grad or not trained_only]
    assert sum(counts.values()) == sum(p.numel() for p in whole)


def test_parameters_of_8b():
    counts = count_parameters(build_on_meta(model_config(LARGE)))
    assert counts["decoder"] == 34_385_542
    assert counts["projector"] == 2 * 4096 + (4096 + 1) * 4096 * 2
    per_layer = 2 * 4096 * 4096 + 2 * 4096 * 1024 + 3 * 4096 * 14336 + 2 * 4096
    assert counts["language model"] == 2 * 92555 * 4096 + 32 * per_layer + 4096
    assert counts["rows of [SEG], [REJ]"] == 2 * 2 * 4096


def test_the_config_is_left_as_it_was():
    config = model_config(LARGE)
    before = str(config)
    build_on_meta(config, merged=True)
    assert str(config) == before


@pytest.mark.parametrize("model", [{}, dict(type="EncoderDecoder")])
def test_another_segmentor_is_refused(model):
    with pytest.raises(ConfigError, match="MLLMSegmentor"):
        build_on_meta(model)
