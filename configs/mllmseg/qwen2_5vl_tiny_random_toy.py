# 200 steps from random numbers, a check that the family learns; docs/benchmarks.md has the results.
_base_ = [
    "../_base_/models/tiny_random.py",
    "../_base_/datasets/toy_refcoco_small.py",
    "../_base_/schedules/tiny_200.py",
    "../_base_/default_runtime.py",
]
vision_config = dict(depth=2, num_heads=4, out_hidden_size=64, window_size=32, fullatt_block_indexes=[1])
rope = dict(rope_type="default", rope_theta=1e4, mrope_section=[4, 2, 2])
text_config = dict(model_type="qwen2_5_vl_text", rope_parameters=rope)
arch = dict(model_type="qwen2_5_vl", vision_config=vision_config, text_config=text_config)
model = dict(backbone=dict(arch=arch))
