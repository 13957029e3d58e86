# Qwen3-VL at 512 x 512 with the DSFF decoder of MLLMSeg: maps of the sizes of InternVL at 448. The vocabulary
# has room for [SEG] and [REJ]. Its sizes were not compared
# with the published config.json.
model = dict(
    type="MLLMSegmentor",
    data_preprocessor=dict(
        type="ImgDataPreprocessor", mean=[127.5, 127.5, 127.5], std=[127.5, 127.5, 127.5], non_blocking=True
    ),
    prompt="segment",
    protocol="independent",
    backbone=dict(
        type="MLLMBackbone",
        image_size=512,
        arch=dict(
            model_type="qwen3_vl",
            tie_word_embeddings=False,
            vision_config=dict(
                hidden_size=1024,
                depth=24,
                num_heads=16,
                intermediate_size=4096,
                deepstack_visual_indexes=[5, 11, 17],
            ),
            text_config=dict(
                num_key_value_heads=8,
                head_dim=128,
                rms_norm_eps=1e-6,
                rope_parameters=dict(rope_type="default", rope_theta=5e6, mrope_section=[24, 20, 20]),
                max_position_embeddings=262144,
                tie_word_embeddings=False,
                vocab_size=151936,
            ),
        ),
        lora=dict(r=64, lora_alpha=128, lora_dropout=0.05),
        trainable=["llm_norm"],
        dtype="auto",
        gradient_checkpointing=True,
    ),
    decode_head=dict(type="DSFFHead", channels=1024, fusion="dsff"),
)
