from itertools import product
from typing import ClassVar
from unittest.mock import patch

import pytest
import torch
from helpers.families import FamilyChecks
from transformers.modeling_outputs import BaseModelOutputWithPooling

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
    """InternVL3.5, at another size than the model's own: 6 x 4 cells, 3 x 2 image tokens."""

    size = (48, 32)
    arch: ClassVar = dict(ARCH, text_config=dict(TEXT, model_type="qwen3", head_dim=16))

    def build(self, **arguments):
        """The class projects square maps alone: it is given those of one image token after the other."""
        backbone = super().build(**arguments)
        base = backbone.model.model
        tower, of_square = base.vision_tower, base.get_image_features

        def of_rectangle(pixel_values, **kwargs):
            cells = tower(pixel_values=pixel_values).last_hidden_state[:, 1:].unflatten(1, (6, 4))
            tokens = []
            for row, column in product((0, 2, 4), (0, 2)):
                own = cells[:, row : row + 2, column : column + 2].flatten(1, 2)
                seen = BaseModelOutputWithPooling(last_hidden_state=torch.cat([own[:, :1], own], dim=1))
                with patch.object(tower, "forward", return_value=seen):
                    tokens.append(of_square(pixel_values=pixel_values).pooler_output)
            return BaseModelOutputWithPooling(pooler_output=torch.cat(tokens, dim=1))

        base.get_image_features = of_rectangle
        return backbone


@pytest.mark.parametrize(
    ("system", "start"), [("", "<|im_start|>user"), ("Be", "<|im_start|>system\nBe<|im_end|>")]
)
def test_a_system_message_comes_first(system, start):
    assert family_of("internvl").chat.prefix(system).startswith(start)
