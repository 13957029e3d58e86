"""SmolVLM and SmolVLM2: one tile, the whole image."""

import torch
from torch import Tensor
from transformers import PretrainedConfig, PreTrainedModel

from mmseg_mllm.models.backbones import family
from mmseg_mllm.models.backbones.chat_format import ChatFormat
from mmseg_mllm.models.features import VisionFeatures
from mmseg_mllm.prompts import REJ_TOKEN, SEG_TOKEN

IMAGE, AROUND, WHOLE, TURN_END = "<image>", "<fake_token_around_image>", "<global-img>", "<end_of_utterance>"


class Family(family.Family):
    """A SigLIP without class token, and a Llama."""

    chat = ChatFormat(
        special_tokens=("<|im_start|>", AROUND, IMAGE, TURN_END, WHOLE, SEG_TOKEN, REJ_TOKEN),
        image_token=IMAGE,
        turn_end=TURN_END,
        start="<|im_start|>",
        system_turn=f"System: {{text}}{TURN_END}\n",
        image_turn=f"User:{AROUND}{WHOLE}{IMAGE}{AROUND}",
        question=f"{{text}}{TURN_END}\nAssistant:",
        answer=f" {{text}}{TURN_END}",
    )
    vision = ("vision_model.embeddings", "vision_model.encoder", "vision_model.post_layernorm")
    projector = ("connector",)
    text_model = "text_model"
    vision_types = ("smolvlm_vision",)
    text_types = ("llama",)

    def image_size(self, config: PretrainedConfig) -> int:
        return config.vision_config.image_size

    def patch_size(self, config: PretrainedConfig) -> int:
        return config.vision_config.patch_size

    def downsample(self, config: PretrainedConfig) -> int:
        return config.scale_factor

    def see(self, model: PreTrainedModel, images: Tensor) -> VisionFeatures:
        # Step by step: get_image_features would drop an image of zeros, and the tower as a whole ask for a
        # mask's values, which makes the CPU wait for the device.
        tower = model.model.vision_model
        side = images.shape[-1] // tower.patch_size
        every = torch.ones(len(images), side, side, dtype=torch.bool, device=images.device)
        patches = tower.embeddings(pixel_values=images.to(model.dtype), patch_attention_mask=every)
        seen = tower.post_layernorm(tower.encoder(inputs_embeds=patches).last_hidden_state)
        return VisionFeatures(detail=family.to_map(seen), image_tokens=model.model.connector(seen))
