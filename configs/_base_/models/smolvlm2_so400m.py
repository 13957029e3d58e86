# SmolVLM2-2.2B has a larger vision tower. Its sizes were not compared with its config.json.
_base_ = "./smolvlm2.py"
model = dict(
    backbone=dict(
        image_size=384,
        arch=dict(
            scale_factor=3,
            vision_config=dict(
                hidden_size=1152,
                num_hidden_layers=27,
                num_attention_heads=16,
                intermediate_size=4304,
                image_size=384,
                patch_size=14,
            ),
            text_config=dict(rope_parameters=dict(rope_theta=273768.0)),
        ),
    ),
    decode_head=dict(channels=1152),
)
