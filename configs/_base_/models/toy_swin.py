# Swin of a sixth of Swin-T's width, two blocks a stage: 16, 32, 64, 128 channels at strides 4, 8, 16, 32.
backbone = dict(
    type="SwinTransformer",
    embed_dims=16,
    window_size=6,
    depths=[2, 2, 2, 2],
    num_heads=[1, 2, 4, 8],
    out_indices=(0, 1, 2, 3),
    drop_path_rate=0.0,
)
