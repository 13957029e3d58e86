from typing import ClassVar

from helpers.qwen_vl import QwenVLChecks


class TestQwen25VL(QwenVLChecks):
    arch: ClassVar = dict(
        model_type="qwen2_5_vl",
        tie_word_embeddings=True,
        vision_config=dict(
            hidden_size=32,
            depth=3,
            num_heads=2,
            intermediate_size=48,
            out_hidden_size=64,
            patch_size=4,
            window_size=16,
            fullatt_block_indexes=[1],
            initializer_range=0.3,
        ),
        text_config=dict(
            hidden_size=64,
            num_hidden_layers=3,
            num_attention_heads=4,
            num_key_value_heads=2,
            intermediate_size=64,
            vocab_size=1024,
            rope_parameters=dict(rope_type="default", rope_theta=1e4, mrope_section=[4, 2, 2]),
            initializer_range=0.3,
            tie_word_embeddings=True,
        ),
    )
    mixing = r"blocks"


class TestQwen25VLWithPartsOfWindows(TestQwen25VL):
    """5 x 3 image tokens in windows of 2 x 2."""

    size = (40, 24)
