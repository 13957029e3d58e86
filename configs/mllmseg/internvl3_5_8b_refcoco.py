_base_ = [
    "../_base_/models/internvl3_5.py",
    "../_base_/datasets/refcoco_family.py",
    "../_base_/schedules/mllmseg_50k.py",
    "../_base_/default_runtime.py",
]
model = dict(
    backbone=dict(
        pretrained="./pretrained/InternVL3_5-8B-HF",
        arch=dict(
            text_config=dict(
                hidden_size=4096, num_hidden_layers=36, num_attention_heads=32, intermediate_size=12288
            )
        ),
    )
)
