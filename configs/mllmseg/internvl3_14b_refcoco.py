_base_ = [
    "../_base_/models/internvl3.py",
    "../_base_/datasets/refcoco_family.py",
    "../_base_/schedules/mllmseg_50k.py",
    "../_base_/default_runtime.py",
]
model = dict(
    backbone=dict(
        pretrained="./pretrained/InternVL3-14B-hf",
        arch=dict(
            text_config=dict(
                hidden_size=5120,
                num_hidden_layers=48,
                num_attention_heads=40,
                num_key_value_heads=8,
                intermediate_size=13824,
            )
        ),
    )
)
