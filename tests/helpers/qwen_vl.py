"""What the checks of Qwen2.5-VL and Qwen3-VL have in common."""

import torch
from helpers.families import FamilyChecks
from transformers import Qwen2VLImageProcessor


class QwenVLChecks(FamilyChecks):
    text = (
        "<|im_start|>user\n<|vision_start|>{image}<|vision_end|>{question}<|im_end|>\n"
        "<|im_start|>assistant\n{answer}<|im_end|>"
    )
    image_token = "<|image_pad|>"

    def own_inputs(self, images, ids):
        processor = Qwen2VLImageProcessor(
            patch_size=4, do_resize=False, do_rescale=False, do_normalize=False, do_convert_rgb=False
        )
        made = processor(images=list(images), return_tensors="pt", input_data_format="channels_first")
        return dict(
            pixel_values=made["pixel_values"],
            image_grid_thw=made["image_grid_thw"],
            mm_token_type_ids=(ids == self.image_id).int(),
        )

    def build(self, **arguments):
        backbone = super().build(**arguments)
        self.image_id = backbone.tokenizer.image_id
        return backbone

    def test_positions_are_the_classes_own(self, backbone):
        ids = self.ids(backbone, ["the dog"])
        made = self.own_inputs(torch.zeros(1, 3, *self.size), ids)
        wanted, _ = backbone.model.model.get_rope_index(
            ids, image_grid_thw=made["image_grid_thw"], mm_token_type_ids=made["mm_token_type_ids"]
        )
        layout = self.layout(backbone, [[["the dog"]]], supervised=True)
        assert layout.position_ids.tolist() == wanted[:, 0].tolist()
        assert wanted.max() < ids.shape[1] - 5
