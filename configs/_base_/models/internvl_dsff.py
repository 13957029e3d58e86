# InternVL at 448 x 448.
_base_ = "./mllm_dsff.py"
model = dict(
    data_preprocessor=dict(
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
    ),
    prompt="mllmseg",
    backbone=dict(
        arch=dict(
            model_type="internvl",
            downsample_ratio=0.5,
            vision_config=dict(
                hidden_size=1024,
                num_hidden_layers=24,
                num_attention_heads=16,
                intermediate_size=4096,
                attention_bias=True,
                image_size=448,
                patch_size=14,
            ),
            text_config=dict(max_position_embeddings=32768),
        ),
    ),
    decode_head=dict(channels=1024),
)
