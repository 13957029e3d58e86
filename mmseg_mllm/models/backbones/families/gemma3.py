"""Gemma 3: a SigLIP whose map is pooled, and a language model that reads an image both ways."""

from math import isqrt

from torch import Tensor
from transformers import PretrainedConfig, PreTrainedModel

from mmseg_mllm.errors import ConfigError
from mmseg_mllm.input_size import InputSize
from mmseg_mllm.models.backbones import family
from mmseg_mllm.models.backbones.chat_format import ChatFormat
from mmseg_mllm.models.features import VisionFeatures
from mmseg_mllm.prompts import REJ_TOKEN, SEG_TOKEN

IMAGE, START, END, TURN_END = "<image_soft_token>", "<start_of_image>", "<end_of_image>", "<end_of_turn>"


class Family(family.Family):
    """Most layers of its language model see the nearest tokens alone, which transformers tells attention."""

    chat = ChatFormat(
        special_tokens=("<start_of_turn>", TURN_END, START, END, IMAGE, SEG_TOKEN, REJ_TOKEN),
        image_token=IMAGE,
        turn_end=TURN_END,
        start="<start_of_turn>user\n",
        system_turn="{text}\n\n",
        image_turn=f"\n\n{START}{IMAGE}{END}",
        question=f"\n\n{{text}}{TURN_END}\n<start_of_turn>model\n",
        answer=f"{{text}}{TURN_END}",
    )
    vision = ("vision_tower",)
    projector = ("multi_modal_projector",)
    both_ways = True
    vision_types = ("siglip_vision_model",)
    text_types = ("gemma3_text",)

    def image_size(self, config: PretrainedConfig) -> int:
        return config.vision_config.image_size

    def patch_size(self, config: PretrainedConfig) -> int:
        return config.vision_config.patch_size

    def downsample(self, config: PretrainedConfig) -> int:
        return self.image_size(config) // self.patch_size(config) // isqrt(config.mm_tokens_per_image)

    def see(self, model: PreTrainedModel, images: Tensor) -> VisionFeatures:
        seen = model.get_image_features(pixel_values=images)
        return VisionFeatures(detail=family.to_map(seen.last_hidden_state), image_tokens=seen.pooler_output)

    def check_image_size(self, size: InputSize, config: PretrainedConfig) -> None:
        own = self.image_size(config)
        if size != own:
            raise ConfigError(
                f"image_size={size}: the projector of Gemma 3 takes images of {own} pixels alone"
            )

    def text_mask(
        self, model: PreTrainedModel, *, embeds: Tensor, mask: Tensor, at_image: Tensor
    ) -> dict[str, Tensor]:
        return model.create_masks_for_generate(
            config=model.config,
            inputs_embeds=embeds,
            attention_mask=mask,
            past_key_values=None,
            position_ids=None,
            token_type_ids=at_image.long(),
            is_first_iteration=True,
        )
