# A small ResNet at stride 4 beside the vision tower's map of stride 8: finer masks for more work per mask.
_base_ = "./internvl_tiny_toy.py"
model = dict(
    detail_backbone=dict(
        type="ResNet",
        depth=18,
        stem_channels=32,
        base_channels=32,
        num_stages=1,
        strides=(1,),
        dilations=(1,),
        out_indices=(0,),
        norm_cfg=dict(type="GN", num_groups=8),
    ),
)
