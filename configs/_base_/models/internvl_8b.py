# InternLM2.5-7B is a Llama; its dynamic rope scaling is inactive below 32k positions. The vocabulary of
# InternVL (92,553) with [SEG] and [REJ].
_base_ = "./internvl_dsff.py"
model = dict(
    backbone=dict(
        arch=dict(
            text_config=dict(
                model_type="llama",
                hidden_size=4096,
                num_hidden_layers=32,
                num_attention_heads=32,
                num_key_value_heads=8,
                intermediate_size=14336,
                rms_norm_eps=1e-5,
                rope_parameters=dict(rope_type="default", rope_theta=1e6),
                vocab_size=92555,
            )
        )
    )
)
