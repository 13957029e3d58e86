# Semantics at stride 16: of a 64 px image, stride 32 leaves 2 x 2 pixels.
_base_ = "./toy_encoder_decoder.py"
model = dict(
    decode_head=dict(
        type="DSFFHead",
        in_channels=[16, 64],
        in_index=[0, 2],
        num_heads=2,
        feedforward_channels=96,
        dropout_ratio=0.1,
    ),
)
