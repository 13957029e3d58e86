_base_ = [
    "../_base_/models/gemma3.py",
    "../_base_/datasets/refcoco_family.py",
    "../_base_/schedules/mllmseg_50k.py",
    "../_base_/default_runtime.py",
]
text_config = dict(
    hidden_size=2560,
    num_hidden_layers=34,
    num_attention_heads=8,
    num_key_value_heads=4,
    intermediate_size=10240,
)
model = dict(backbone=dict(pretrained="./pretrained/gemma-3-4b-it", arch=dict(text_config=text_config)))
