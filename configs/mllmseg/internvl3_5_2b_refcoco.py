_base_ = [
    "../_base_/models/internvl3_5.py",
    "../_base_/datasets/refcoco_family.py",
    "../_base_/schedules/mllmseg_50k.py",
    "../_base_/default_runtime.py",
]
model = dict(
    backbone=dict(
        pretrained="./pretrained/InternVL3_5-2B-HF",
        arch=dict(
            text_config=dict(
                hidden_size=2048, num_hidden_layers=28, num_attention_heads=16, intermediate_size=6144
            )
        ),
    )
)
