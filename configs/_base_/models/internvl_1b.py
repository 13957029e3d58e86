# Qwen2.5-0.5B. The vocabulary of InternVL (151,674) with [SEG] and [REJ].
_base_ = "./internvl_dsff.py"
model = dict(
    backbone=dict(
        arch=dict(
            text_config=dict(
                model_type="qwen2",
                hidden_size=896,
                num_hidden_layers=24,
                num_attention_heads=14,
                num_key_value_heads=2,
                intermediate_size=4864,
                rms_norm_eps=1e-6,
                rope_parameters=dict(rope_type="default", rope_theta=1e6),
                vocab_size=151676,
            )
        )
    )
)
