# InternLM2.5-1.8B is a Llama. The vocabulary of InternVL (92,553) with [SEG] and [REJ].
_base_ = "./internvl_dsff.py"
model = dict(
    backbone=dict(
        arch=dict(
            text_config=dict(
                model_type="llama",
                hidden_size=2048,
                num_hidden_layers=24,
                num_attention_heads=16,
                num_key_value_heads=8,
                intermediate_size=8192,
                rms_norm_eps=1e-5,
                rope_parameters=dict(rope_type="default", rope_theta=1e6),
                vocab_size=92555,
            )
        )
    )
)
