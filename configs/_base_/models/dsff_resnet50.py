_base_ = "./dsff_encoder_decoder.py"
model = dict(
    backbone=dict(
        type="ResNetV1c",
        depth=50,
        out_indices=(0, 1, 2, 3),
        strides=(1, 2, 2, 2),
        dilations=(1, 1, 1, 1),
        norm_cfg=dict(type="BN"),
        init_cfg=dict(type="Pretrained", checkpoint="open-mmlab://resnet50_v1c"),
    ),
    decode_head=dict(in_channels=[512, 2048]),
)
