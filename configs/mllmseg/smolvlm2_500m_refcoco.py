_base_ = [
    "../_base_/models/smolvlm2.py",
    "../_base_/datasets/refcoco_family.py",
    "../_base_/schedules/mllmseg_50k.py",
    "../_base_/default_runtime.py",
]
model = dict(
    backbone=dict(
        pretrained="./pretrained/SmolVLM2-500M-Video-Instruct",
        arch=dict(
            text_config=dict(
                hidden_size=960,
                num_hidden_layers=32,
                num_attention_heads=15,
                num_key_value_heads=5,
                intermediate_size=2560,
            )
        ),
    )
)
