# Gemma 3 with the DSFF decoder of MLLMSeg: 896 x 896, a detail map of 64 x 64 before the projector pools it to 16 x 16
# image tokens. The vocabulary has room for [SEG] and [REJ]. Its sizes were not compared with the published config.json.
_base_ = "./mllm_dsff.py"
model = dict(
    data_preprocessor=dict(mean=[127.5, 127.5, 127.5], std=[127.5, 127.5, 127.5]),
    backbone=dict(
        image_size=896,
        arch=dict(
            model_type="gemma3",
            tie_word_embeddings=True,
            mm_tokens_per_image=256,
            vision_config=dict(
                model_type="siglip_vision_model",
                hidden_size=1152,
                num_hidden_layers=27,
                num_attention_heads=16,
                intermediate_size=4304,
                image_size=896,
                patch_size=14,
                vision_use_head=False,
            ),
            text_config=dict(
                head_dim=256,
                query_pre_attn_scalar=256,
                sliding_window=1024,
                rope_parameters=dict(
                    sliding_attention=dict(rope_type="default", rope_theta=1e4),
                    full_attention=dict(rope_type="linear", factor=8.0, rope_theta=1e6),
                ),
                max_position_embeddings=131072,
                tie_word_embeddings=True,
                vocab_size=262208,
            ),
        ),
    ),
    decode_head=dict(channels=1152),
)
