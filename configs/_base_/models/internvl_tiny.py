_base_ = "./tiny_random.py"
model = dict(
    backbone=dict(
        arch=dict(
            model_type="internvl",
            downsample_ratio=0.5,
            vision_config=dict(
                num_hidden_layers=4,
                num_attention_heads=4,
                attention_bias=True,
                image_size=96,
                layer_scale_init_value=1.0,
            ),
            text_config=dict(model_type="qwen2"),
        )
    )
)
