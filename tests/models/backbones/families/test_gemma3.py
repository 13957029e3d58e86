from typing import ClassVar

import pytest
import torch
from helpers.families import FamilyChecks

from mmseg_mllm.errors import ConfigError
from mmseg_mllm.models.backbones.families import family_of


class TestGemma3(FamilyChecks):
    """16 image tokens; two of the three layers see 12 tokens, one sees all."""

    arch: ClassVar = dict(
        model_type="gemma3",
        tie_word_embeddings=True,
        mm_tokens_per_image=16,
        vision_config=dict(
            model_type="siglip_vision_model",
            hidden_size=24,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=32,
            image_size=32,
            patch_size=4,
            vision_use_head=False,
        ),
        text_config=dict(
            hidden_size=32,
            num_hidden_layers=3,
            num_attention_heads=4,
            num_key_value_heads=2,
            head_dim=16,
            query_pre_attn_scalar=16,
            intermediate_size=48,
            vocab_size=1024,
            sliding_window=12,
            layer_types=["sliding_attention", "full_attention", "sliding_attention"],
            initializer_range=0.05,  # or a token's own embedding would outweigh all that it sees
            tie_word_embeddings=True,
        ),
    )
    mixing = r"encoder|position_embedding"
    image_reads = 0
    text = (
        "<start_of_turn>user\n\n\n<start_of_image>{image}<end_of_image>\n\n{question}<end_of_turn>\n"
        "<start_of_turn>model\n{answer}<end_of_turn>"
    )
    image_token = "<image_soft_token>"

    def own_inputs(self, images, ids):
        return dict(pixel_values=images, token_type_ids=(ids == self.image_id).long())

    def build(self, **arguments):
        backbone = super().build(**arguments)
        self.image_id = backbone.tokenizer.image_id
        # transformers starts it at zero, and image tokens would all be the same.
        weight = backbone.model.model.multi_modal_projector.mm_input_projection_weight
        torch.nn.init.normal_(weight, std=0.3)
        return backbone

    def test_another_size_is_refused(self):
        with pytest.raises(ConfigError, match=r"image_size=64: .* Gemma 3 takes images of 32 pixels"):
            self.build(image_size=64)


@pytest.mark.parametrize(("system", "start"), [("", "\n\n"), ("Be brief.", "Be brief.\n\n\n\n")])
def test_a_system_message_stands_in_the_users_turn(system, start):
    prefix = family_of("gemma3").chat.prefix(system)
    assert prefix == f"<start_of_turn>user\n{start}<start_of_image><image_soft_token><end_of_image>"
