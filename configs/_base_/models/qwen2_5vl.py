# Qwen2.5-VL at 448 x 448: maps of the sizes of InternVL. The vocabulary has room for [SEG] and [REJ].
_base_ = "./mllm_dsff.py"
model = dict(
    data_preprocessor=dict(
        mean=[122.7709383, 116.7460125, 104.09373615],
        std=[68.5005327, 66.6321579, 70.32316305],
    ),
    backbone=dict(
        image_size=448,
        arch=dict(
            model_type="qwen2_5_vl",
            vision_config=dict(hidden_size=1280, depth=32, num_heads=16, intermediate_size=3420),
            text_config=dict(
                rms_norm_eps=1e-6,
                rope_parameters=dict(rope_type="default", rope_theta=1e6, mrope_section=[16, 24, 24]),
                max_position_embeddings=128000,
            ),
        ),
    ),
    decode_head=dict(channels=1280),
)
