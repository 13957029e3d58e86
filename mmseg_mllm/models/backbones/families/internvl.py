"""InternVL 2, 2.5, 3 and 3.5 in transformers' layout."""

from torch import Tensor
from transformers import PretrainedConfig, PreTrainedModel

from mmseg_mllm.errors import ConfigError
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
    squares_only = False
    vision_types = ("internvl_vision",)
    text_types = ("qwen2", "qwen3", "llama", "phi3")

    def image_size(self, config: PretrainedConfig) -> int:
        return config.vision_config.image_size[0]

    def patch_size(self, config: PretrainedConfig) -> int:
        return config.vision_config.patch_size[0]

    def downsample(self, config: PretrainedConfig) -> int:
        return round(1 / config.downsample_ratio)

    def see(self, model: PreTrainedModel, images: Tensor) -> VisionFeatures:
        # Step by step: get_image_features takes every map for a square.
        base, config = model.model, model.config
        if config.vision_feature_layer != -1:
            raise ConfigError(
                f"vision_feature_layer={config.vision_feature_layer}: image tokens are made of the vision "
                "tower's last layer, -1"
            )
        seen = base.vision_tower(pixel_values=images.to(base.dtype)).last_hidden_state
        size = [side // self.patch_size(config) for side in images.shape[2:]]
        cells = seen[:, 1:].unflatten(1, size)  # without the class token
        tokens = base.pixel_shuffle(cells, scale_factor=config.downsample_ratio).flatten(1, 2)
        return VisionFeatures(
            detail=cells.permute(0, 3, 1, 2), image_tokens=base.multi_modal_projector(tokens)
        )
