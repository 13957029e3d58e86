# 200 steps from random numbers, a check that the family learns; docs/benchmarks.md has the results.
_base_ = "./internvl_tiny_random_toy.py"
model = dict(backbone=dict(arch=dict(text_config=dict(model_type="qwen3", head_dim=16))))
