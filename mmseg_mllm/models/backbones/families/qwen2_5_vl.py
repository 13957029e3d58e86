"""Qwen2.5-VL at a fixed size."""

from torch import Tensor
from transformers import PreTrainedModel
from transformers.vision_utils import get_vision_cu_seqlens, get_vision_position_ids, get_vision_window_index

from mmseg_mllm.models.backbones.families._qwen_vl import QwenVL, from_blocks, image_grids, to_blocks
from mmseg_mllm.models.features import VisionFeatures


class Family(QwenVL):
    """A tower whose layers look within windows, for which it sorts blocks of patches window by window."""

    vision = ("visual.patch_embed", "visual.blocks")
    projector = ("visual.merger",)
    vision_types = ("qwen2_5_vl_vision",)
    text_types = ("qwen2_5_vl_text",)

    def see(self, model: PreTrainedModel, images: Tensor) -> VisionFeatures:
        tower, config = model.model.visual, model.config.vision_config
        grids, merge = image_grids(images, config.patch_size), config.spatial_merge_size
        order, ends = get_vision_window_index(
            grids, spatial_merge_size=merge, window_size=config.window_size, patch_size=config.patch_size
        )
        order = order.to(images.device)
        seen = tower(
            to_blocks(images, config).to(tower.dtype),
            grid_thw=grids,
            window_index=order,
            cu_window_seqlens=ends,
            position_ids=get_vision_position_ids(grids, merge).to(images.device),
            cu_seqlens=get_vision_cu_seqlens(grids),
            return_dict=True,
        )
        # Image tokens are put back by the tower, its map is not.
        blocks = seen.last_hidden_state.unflatten(0, (-1, merge * merge))[order.argsort()]
        return VisionFeatures(
            detail=from_blocks(blocks.flatten(0, 1), images, config),
            image_tokens=seen.pooler_output.unflatten(0, (len(images), -1)),
        )
