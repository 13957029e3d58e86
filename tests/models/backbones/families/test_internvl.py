from typing import ClassVar

import pytest
from helpers.families import FamilyChecks

from mmseg_mllm.models.backbones.families import family_of

TEXT = dict(
    hidden_size=32,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    intermediate_size=48,
    vocab_size=1024,
    initializer_range=0.3,
    tie_word_embeddings=False,
)
ARCH = dict(
    model_type="internvl",
    downsample_ratio=0.5,
    tie_word_embeddings=False,
    vision_config=dict(
        hidden_size=24,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        attention_bias=True,
        image_size=32,
        patch_size=8,
        initializer_range=0.3,
        layer_scale_init_value=1.0,
        use_mean_pooling=False,
    ),
)


class InternVLChecks(FamilyChecks):
    mixing = r"encoder|position_embeddings"
    text = (
        "<|im_start|>user\n<img>{image}</img>\n{question}<|im_end|>\n"
        "<|im_start|>assistant\n{answer}<|im_end|>"
    )
    image_token = "<IMG_CONTEXT>"


class TestWithQwen2(InternVLChecks):
    """InternVL2.5, InternVL3."""

    arch: ClassVar = dict(ARCH, text_config=dict(TEXT, model_type="qwen2"))


class TestWithQwen3(InternVLChecks):
    """InternVL3.5, at another size than the model's own."""

    side = 48
    arch: ClassVar = dict(ARCH, text_config=dict(TEXT, model_type="qwen3", head_dim=16))


@pytest.mark.parametrize(
    ("system", "start"), [("", "<|im_start|>user"), ("Be", "<|im_start|>system\nBe<|im_end|>")]
)
def test_a_system_message_comes_first(system, start):
    assert family_of("internvl").chat.prefix(system).startswith(start)
