_base_ = [
    "../_base_/models/internvl3.py",
    "../_base_/datasets/refcoco_family.py",
    "../_base_/schedules/mllmseg_50k.py",
    "../_base_/default_runtime.py",
]
model = dict(
    backbone=dict(
        pretrained="./pretrained/InternVL3-8B-hf",
        arch=dict(
            text_config=dict(
                hidden_size=3584,
                num_hidden_layers=28,
                num_attention_heads=28,
                num_key_value_heads=4,
                intermediate_size=18944,
            )
        ),
    )
)
