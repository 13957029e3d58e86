# SmolVLM2, the whole image as one tile. The vocabulary (49,280) with [SEG] and [REJ]. The 500M's sizes were
# compared with its config.json, the 256M's not.
_base_ = "./mllm_dsff.py"
model = dict(
    data_preprocessor=dict(mean=[127.5, 127.5, 127.5], std=[127.5, 127.5, 127.5]),
    backbone=dict(
        image_size=512,
        arch=dict(
            model_type="smolvlm",
            scale_factor=4,
            vision_config=dict(
                hidden_size=768,
                num_hidden_layers=12,
                num_attention_heads=12,
                intermediate_size=3072,
                image_size=512,
                patch_size=16,
            ),
            text_config=dict(
                model_type="llama",
                head_dim=64,
                rms_norm_eps=1e-5,
                rope_parameters=dict(rope_type="default", rope_theta=1e5),
                max_position_embeddings=8192,
                vocab_size=49282,
            ),
        ),
    ),
    decode_head=dict(channels=768),
)
