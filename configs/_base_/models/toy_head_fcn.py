# FCNHead on all maps at the size of the finest, as MMSegmentation feeds it with HRNet, and two 3 x 3 convolutions.
_base_ = "./toy_encoder_decoder.py"
model = dict(
    decode_head=dict(
        type="FCNHead",
        in_channels=[16, 32, 64, 128],
        in_index=[0, 1, 2, 3],
        input_transform="resize_concat",
        num_convs=2,
        concat_input=False,
        dropout_ratio=0.1,
    ),
)
