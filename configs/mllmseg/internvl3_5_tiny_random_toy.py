# InternVL with the language model of InternVL3.5.
_base_ = "./internvl_tiny_random_toy.py"
model = dict(backbone=dict(arch=dict(text_config=dict(model_type="qwen3", head_dim=32))))
