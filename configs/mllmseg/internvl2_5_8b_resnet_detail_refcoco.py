# The first two stages of a ResNet-50, stride 8, beside the vision tower's map of stride 14.
_base_ = "./internvl2_5_8b_refcoco.py"
model = dict(
    detail_backbone=dict(
        type="ResNetV1c",
        depth=50,
        num_stages=2,
        strides=(1, 2),
        dilations=(1, 1),
        out_indices=(1,),
        norm_cfg=dict(type="SyncBN"),
        norm_eval=True,
        init_cfg=dict(type="Pretrained", checkpoint="open-mmlab://resnet50_v1c"),
    ),
)
