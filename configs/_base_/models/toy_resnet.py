# ResNet-18 of a quarter of its width: maps of 16, 32, 64, 128 channels at strides 4, 8, 16, 32.
backbone = dict(
    type="ResNetV1c",
    depth=18,
    stem_channels=16,
    base_channels=16,
    out_indices=(0, 1, 2, 3),
    strides=(1, 2, 2, 2),
    dilations=(1, 1, 1, 1),
    norm_cfg=dict(type="BN"),
)
