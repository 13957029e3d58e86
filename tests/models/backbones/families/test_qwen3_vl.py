from typing import ClassVar

from helpers.qwen_vl import QwenVLChecks


class TestQwen3VL(QwenVLChecks):
    arch: ClassVar = dict(
        model_type="qwen3_vl",
        tie_word_embeddings=True,
        vision_config=dict(
            hidden_size=32,
            depth=3,
            num_heads=2,
            intermediate_size=48,
            out_hidden_size=48,
            patch_size=4,
            num_position_embeddings=16,
            deepstack_visual_indexes=[0, 1],
            initializer_range=0.3,
        ),
        text_config=dict(
            hidden_size=48,
            num_hidden_layers=3,
            num_attention_heads=4,
            num_key_value_heads=2,
            head_dim=16,
            intermediate_size=64,
            vocab_size=1024,
            rope_parameters=dict(rope_type="default", rope_theta=1e4, mrope_section=[4, 2, 2]),
            initializer_range=0.3,
            tie_word_embeddings=True,
        ),
    )
    mixing = r"blocks|pos_embed"


class TestQwen3VLOfARectangle(TestQwen3VL):
    """3 x 5 image tokens."""

    size = (24, 40)
