from typing import ClassVar

import pytest
import torch
from helpers.families import FamilyChecks, close

from mmseg_mllm.errors import ConfigError


class TestSmolVLM(FamilyChecks):
    arch: ClassVar = dict(
        model_type="smolvlm",
        tie_word_embeddings=True,
        scale_factor=2,
        vision_config=dict(
            hidden_size=24,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=32,
            image_size=32,
            patch_size=8,
            initializer_range=0.3,
        ),
        text_config=dict(
            model_type="llama",
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            intermediate_size=48,
            vocab_size=1024,
            initializer_range=0.3,
            tie_word_embeddings=True,
        ),
    )
    mixing = r"encoder|position_embedding"
    text = (
        "<|im_start|>User:<fake_token_around_image><global-img>{image}<fake_token_around_image>"
        "{question}<end_of_utterance>\nAssistant: {answer}<end_of_utterance>"
    )
    image_token = "<image>"

    def own_inputs(self, images, ids):
        return dict(pixel_values=images[:, None])

    def test_a_rectangle_is_refused(self):
        with pytest.raises(ConfigError, match=r"image_size=\(32, 48\): smolvlm takes square images alone"):
            self.build(image_size=(32, 48))

    @torch.no_grad()
    def test_a_grey_image_is_an_image(self, backbone, images):
        """The class drops images of zeros alone, as it pads with them."""
        grey = torch.zeros_like(images[:1])
        alone, among = backbone.see(grey), backbone.see(torch.cat([images, grey]))
        close(among.image_tokens[2:], alone.image_tokens)


class TestSmolVLMWithARest(TestSmolVLM):
    """36 pixels are 4 patches of 8 and a rest, as 384 are 27 of 14."""

    side = 36
    arch: ClassVar = dict(
        TestSmolVLM.arch, vision_config=dict(TestSmolVLM.arch["vision_config"], image_size=36)
    )
