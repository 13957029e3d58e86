_base_ = "./toy_encoder_decoder.py"
model = dict(
    decode_head=dict(
        type="SegformerHead",
        in_channels=[16, 32, 64, 128],
        in_index=[0, 1, 2, 3],
        dropout_ratio=0.1,
    ),
)
