# DSFFHead; every toy head is 48 channels wide.
data_preprocessor = dict(
    type="SegDataPreProcessor",
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375],
    bgr_to_rgb=True,
    pad_val=0,
    seg_pad_val=255,
    size=(64, 64),
    test_cfg=dict(size_divisor=32),
)
model = dict(
    type="EncoderDecoder",
    data_preprocessor=data_preprocessor,
    decode_head=dict(
        type="DSFFHead",
        in_channels=[32, 128],
        in_index=[1, 3],
        channels=48,
        num_heads=2,
        feedforward_channels=96,
        norm_cfg=dict(type="BN"),
        align_corners=False,
        num_classes=7,
    ),
    train_cfg=dict(),
    test_cfg=dict(mode="whole"),
)
