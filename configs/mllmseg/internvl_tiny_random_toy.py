# 200 steps from random numbers, a check that the family learns; docs/benchmarks.md has the results.
_base_ = [
    "../_base_/models/tiny_random.py",
    "../_base_/datasets/toy_refcoco_small.py",
    "../_base_/schedules/tiny_200.py",
    "../_base_/default_runtime.py",
]
vision_config = dict(
    num_hidden_layers=2, num_attention_heads=4, attention_bias=True, image_size=64, layer_scale_init_value=1.0
)
text_config = dict(model_type="qwen2")
arch = dict(model_type="internvl", downsample_ratio=0.5, vision_config=vision_config, text_config=text_config)
model = dict(backbone=dict(arch=arch))
