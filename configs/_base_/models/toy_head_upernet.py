_base_ = "./toy_encoder_decoder.py"
model = dict(
    decode_head=dict(
        type="UPerHead",
        in_channels=[16, 32, 64, 128],
        in_index=[0, 1, 2, 3],
        pool_scales=(1, 2, 3, 6),
        dropout_ratio=0.1,
    ),
)
