_base_ = [
    "../_base_/models/tiny_random.py",
    "../_base_/datasets/toy_refcoco.py",
    "../_base_/schedules/tiny_200.py",
    "../_base_/default_runtime.py",
]
vision_config = dict(
    depth=4, num_heads=4, out_hidden_size=128, num_position_embeddings=144, deepstack_visual_indexes=[1, 2]
)
rope = dict(rope_type="default", rope_theta=1e4, mrope_section=[6, 5, 5])
text_config = dict(model_type="qwen3_vl_text", head_dim=32, rope_parameters=rope)
arch = dict(model_type="qwen3_vl", vision_config=vision_config, text_config=text_config)
model = dict(backbone=dict(image_size=96, arch=arch))
