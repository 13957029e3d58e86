# Qwen2.5-VL at 448 x 448 with the DSFF decoder of MLLMSeg: maps of the sizes of InternVL. The vocabulary has
# room for [SEG] and [REJ]. Its sizes were not compared
# with the published config.json.
model = dict(
    type="MLLMSegmentor",
    data_preprocessor=dict(
        type="ImgDataPreprocessor",
        mean=[122.7709383, 116.7460125, 104.09373615],
        std=[68.5005327, 66.6321579, 70.32316305],
        non_blocking=True,
    ),
    prompt="segment",
    protocol="independent",
    backbone=dict(
        type="MLLMBackbone",
        image_size=448,
        arch=dict(
            model_type="qwen2_5_vl",
            tie_word_embeddings=False,
            vision_config=dict(hidden_size=1280, depth=32, num_heads=16, intermediate_size=3420),
            text_config=dict(
                rms_norm_eps=1e-6,
                rope_parameters=dict(rope_type="default", rope_theta=1e6, mrope_section=[16, 24, 24]),
                max_position_embeddings=128000,
                tie_word_embeddings=False,
            ),
        ),
        lora=dict(r=64, lora_alpha=128, lora_dropout=0.05),
        trainable=["llm_norm"],
        dtype="auto",
        gradient_checkpointing=True,
    ),
    decode_head=dict(type="DSFFHead", channels=1280, fusion="dsff"),
)
