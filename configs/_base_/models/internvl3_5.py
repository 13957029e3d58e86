# InternVL3.5: Qwen3, whose vocabulary has room for [SEG] and [REJ]. The numbers of parameters are those that
# InternVL3.5's documentation gives; sizes were not compared with each config.json.
_base_ = "./internvl_dsff.py"
model = dict(
    backbone=dict(
        arch=dict(
            text_config=dict(
                model_type="qwen3",
                head_dim=128,
                num_key_value_heads=8,
                rms_norm_eps=1e-6,
                rope_parameters=dict(rope_type="default", rope_theta=1e6),
                max_position_embeddings=40960,
                vocab_size=151936,
            )
        )
    )
)
