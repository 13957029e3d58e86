_base_ = "./toy_encoder_decoder.py"
model = dict(
    decode_head=dict(
        type="DSFFHead",
        in_channels=[16, 128],
        in_index=[0, 3],
        num_heads=2,
        feedforward_channels=96,
        dropout_ratio=0.1,
    ),
)
