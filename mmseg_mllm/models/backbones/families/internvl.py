"""InternVL 2, 2.5, 3 and 3.5 in transformers' layout."""

from torch import Tensor
from transformers import PretrainedConfig, PreTrainedModel

from mmseg_mllm.models.backbones import family
from mmseg_mllm.models.backbones.chat_format import ChatFormat
from mmseg_mllm.models.features import VisionFeatures
from mmseg_mllm.prompts import IMAGE_END_TOKEN, IMAGE_START_TOKEN, IMAGE_TOKEN, SPECIAL_TOKENS

TURN_END = "<|im_end|>"


class Family(family.Family):
    """A vision tower with a class token, and any causal language model."""

    chat = ChatFormat(
        special_tokens=SPECIAL_TOKENS,
        image_token=IMAGE_TOKEN,
        turn_end=TURN_END,
        system_turn=f"<|im_start|>system\n{{text}}{TURN_END}\n",
        image_turn=f"<|im_start|>user\n{IMAGE_START_TOKEN}{IMAGE_TOKEN}{IMAGE_END_TOKEN}",
        question=f"\n{{text}}{TURN_END}\n<|im_start|>assistant\n",
        answer=f"{{text}}{TURN_END}",
    )
    vision = ("vision_tower",)
    projector = ("multi_modal_projector",)
    vision_types = ("internvl_vision",)
    text_types = ("qwen2", "qwen3", "llama", "phi3")

    def image_size(self, config: PretrainedConfig) -> int:
        return config.vision_config.image_size[0]

    def patch_size(self, config: PretrainedConfig) -> int:
        return config.vision_config.patch_size[0]

    def downsample(self, config: PretrainedConfig) -> int:
        return round(1 / config.downsample_ratio)

    def see(self, model: PreTrainedModel, images: Tensor) -> VisionFeatures:
        vision = model.get_image_features(pixel_values=images)
        detail = family.to_map(vision.last_hidden_state[:, 1:])  # without the class token
        return VisionFeatures(detail=detail, image_tokens=vision.pooler_output)
