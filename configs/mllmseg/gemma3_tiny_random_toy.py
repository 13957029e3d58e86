# 200 steps from random numbers, a check that the family learns; docs/benchmarks.md has the results.
_base_ = [
    "../_base_/models/tiny_random.py",
    "../_base_/datasets/toy_refcoco_small.py",
    "../_base_/schedules/tiny_200.py",
    "../_base_/default_runtime.py",
]
vision_config = dict(
    model_type="siglip_vision_model",
    num_hidden_layers=2,
    num_attention_heads=4,
    image_size=64,
    vision_use_head=False,
)
layers = ["sliding_attention", "full_attention"]
text_config = dict(model_type="gemma3_text", head_dim=16, query_pre_attn_scalar=16, layer_types=layers)
arch = dict(model_type="gemma3", mm_tokens_per_image=16, vision_config=vision_config, text_config=text_config)
model = dict(backbone=dict(arch=arch))
