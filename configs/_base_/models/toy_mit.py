# MiT-B0 of half its width: maps of 16, 32, 64, 128 channels at strides 4, 8, 16, 32.
backbone = dict(
    type="MixVisionTransformer",
    embed_dims=16,
    num_heads=[1, 2, 4, 8],
    num_layers=[2, 2, 2, 2],
    sr_ratios=[8, 4, 2, 1],
    out_indices=(0, 1, 2, 3),
    drop_path_rate=0.0,
)
