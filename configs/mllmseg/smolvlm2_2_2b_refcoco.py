_base_ = [
    "../_base_/models/smolvlm2_so400m.py",
    "../_base_/datasets/refcoco_family.py",
    "../_base_/schedules/mllmseg_50k.py",
    "../_base_/default_runtime.py",
]
text_config = dict(
    hidden_size=2048,
    num_hidden_layers=24,
    num_attention_heads=32,
    num_key_value_heads=32,
    intermediate_size=8192,
)
model = dict(
    backbone=dict(pretrained="./pretrained/SmolVLM2-2.2B-Instruct", arch=dict(text_config=text_config))
)
