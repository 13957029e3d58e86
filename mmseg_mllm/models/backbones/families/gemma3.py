"""Gemma 3: a SigLIP whose map is pooled, and a language model that reads an image both ways."""

from math import isqrt

from torch import Tensor
from transformers import PretrainedConfig, PreTrainedModel

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
        tower, projector = model.model.vision_tower, model.model.multi_modal_projector
        seen = tower(pixel_values=images, interpolate_pos_encoding=True).last_hidden_state
        detail = family.to_map(seen)
        # Step by step: the projector as a whole takes maps of the model's own size alone.
        pooled = projector.avg_pool(detail).flatten(2).transpose(1, 2)
        tokens = projector.mm_soft_emb_norm(pooled) @ projector.mm_input_projection_weight
        return VisionFeatures(detail=detail, image_tokens=tokens.type_as(seen))

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
