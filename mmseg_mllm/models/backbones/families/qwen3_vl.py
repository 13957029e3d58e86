"""Qwen3-VL at a fixed size."""

from typing import Any

from torch import Tensor
from transformers import PreTrainedModel
from transformers.vision_utils import (
    get_vision_cu_seqlens,
    get_vision_interpolation_indices_and_weights,
    get_vision_position_ids,
)

from mmseg_mllm.models.backbones.families._qwen_vl import QwenVL, from_blocks, image_grids, to_blocks
from mmseg_mllm.models.features import VisionFeatures


class Family(QwenVL):
    """The language model's first layers add features of some of the tower's layers (DeepStack)."""

    vision = ("visual.patch_embed", "visual.pos_embed", "visual.blocks")
    projector = ("visual.merger", "visual.deepstack_merger_list")
    vision_types = ("qwen3_vl_vision",)
    text_types = ("qwen3_vl_text",)

    def see(self, model: PreTrainedModel, images: Tensor) -> VisionFeatures:
        tower, config = model.model.visual, model.config.vision_config
        grids, merge = image_grids(images, config.patch_size), config.spatial_merge_size
        taps, weights = get_vision_interpolation_indices_and_weights(
            grids,
            num_grid_per_side=tower.num_grid_per_side,
            mode=tower.interpolation_mode,
            align_corners=tower.interpolation_align_corners,
            spatial_merge_size=merge,
        )
        # Made here on the CPU: the tower would make them where the images are, and wait for sizes.
        seen = tower(
            to_blocks(images, config).to(tower.dtype),
            grid_thw=grids,
            interp_indices=taps.to(images.device),
            interp_weights=weights.to(images.device),
            position_ids=get_vision_position_ids(grids, merge).to(images.device),
            cu_seqlens=get_vision_cu_seqlens(grids),
            return_dict=True,
        )
        image_tokens, *added = (
            tokens.unflatten(0, (len(images), -1))
            for tokens in (seen.pooler_output, *seen.deepstack_features)
        )
        return VisionFeatures(
            detail=from_blocks(seen.last_hidden_state, images, config),
            image_tokens=image_tokens,
            added=tuple(added),
        )

    def vision_arguments(self, at_image: Tensor, vision: VisionFeatures) -> dict[str, Any]:
        if at_image.is_meta:
            return {}  # transformers finds the places by a mask's values; sizes and FLOPs stay the same
        return dict(
            visual_pos_masks=at_image,
            deepstack_visual_embeds=[tokens.flatten(0, 1) for tokens in vision.added],
        )
