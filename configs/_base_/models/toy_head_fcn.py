# FCNHead on all maps at the size of the finest, as MMSegmentation feeds it with HRNet, and two 3 x 3 convolutions.
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
        type="FCNHead",
        in_channels=[16, 32, 64, 128],
        in_index=[0, 1, 2, 3],
        input_transform="resize_concat",
        channels=48,
        num_convs=2,
        concat_input=False,
        dropout_ratio=0.1,
        norm_cfg=dict(type="BN"),
        align_corners=False,
        num_classes=7,
    ),
    train_cfg=dict(),
    test_cfg=dict(mode="whole"),
)
