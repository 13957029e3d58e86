# Qwen3-VL at 512 x 512: maps of the sizes of InternVL at 448. The vocabulary has room for [SEG] and [REJ].
_base_ = "./mllm_dsff.py"
model = dict(
    data_preprocessor=dict(mean=[127.5, 127.5, 127.5], std=[127.5, 127.5, 127.5]),
    backbone=dict(
        image_size=512,
        arch=dict(
            model_type="qwen3_vl",
            vision_config=dict(
                hidden_size=1024,
                depth=24,
                num_heads=16,
                intermediate_size=4096,
                deepstack_visual_indexes=[5, 11, 17],
            ),
            text_config=dict(
                num_key_value_heads=8,
                head_dim=128,
                rms_norm_eps=1e-6,
                rope_parameters=dict(rope_type="default", rope_theta=5e6, mrope_section=[24, 20, 20]),
                max_position_embeddings=262144,
                vocab_size=151936,
            ),
        ),
    ),
    decode_head=dict(channels=1024),
)
