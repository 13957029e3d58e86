_base_ = [
    "../_base_/models/qwen3vl.py",
    "../_base_/datasets/refcoco_family.py",
    "../_base_/schedules/mllmseg_50k.py",
    "../_base_/default_runtime.py",
]
model = dict(
    backbone=dict(
        pretrained="./pretrained/Qwen3-VL-8B-Instruct",
        arch=dict(
            vision_config=dict(
                out_hidden_size=4096,
                hidden_size=1152,
                depth=27,
                intermediate_size=4304,
                deepstack_visual_indexes=[8, 16, 24],
            ),
            text_config=dict(
                hidden_size=4096, num_hidden_layers=36, num_attention_heads=32, intermediate_size=12288
            ),
        ),
    ),
    decode_head=dict(channels=1152),
)
