# All four maps, as the other heads have them: details at strides 4, 8 and 16, semantics at stride 32.
_base_ = "./toy_encoder_decoder.py"
model = dict(
    decode_head=dict(
        type="DSFFHead",
        in_channels=[16, 32, 64, 128],
        in_index=[0, 1, 2, 3],
        num_heads=2,
        feedforward_channels=96,
        dropout_ratio=0.1,
    ),
)
