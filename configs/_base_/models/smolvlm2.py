# SmolVLM2, the whole image as one tile, with the DSFF decoder of MLLMSeg. The vocabulary (49,280) with [SEG]
# and [REJ]. Its sizes were not compared
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
            model_type="smolvlm",
            tie_word_embeddings=False,
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
                tie_word_embeddings=False,
                vocab_size=49282,
            ),
        ),
        lora=dict(r=64, lora_alpha=128, lora_dropout=0.05),
        trainable=["llm_norm"],
        dtype="auto",
        gradient_checkpointing=True,
    ),
    decode_head=dict(type="DSFFHead", channels=768, fusion="dsff"),
)
