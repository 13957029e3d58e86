# InternVL with the DSFF decoder of MLLMSeg. The head's input sizes follow from the backbone.
model = dict(
    type="MLLMSegmentor",
    data_preprocessor=dict(
        type="ImgDataPreprocessor",
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        non_blocking=True,
    ),
    prompt="mllmseg",
    protocol="independent",
    backbone=dict(
        type="MLLMBackbone",
        arch=dict(
            model_type="internvl",
            downsample_ratio=0.5,
            tie_word_embeddings=False,
            vision_config=dict(
                hidden_size=1024,
                num_hidden_layers=24,
                num_attention_heads=16,
                intermediate_size=4096,
                attention_bias=True,
                image_size=448,
                patch_size=14,
            ),
            text_config=dict(max_position_embeddings=32768),
        ),
        lora=dict(r=64, lora_alpha=128, lora_dropout=0.05),
        trainable=["llm_norm"],
        dtype="auto",
        gradient_checkpointing=True,
    ),
    decode_head=dict(type="DSFFHead", channels=1024, fusion="dsff", with_cp=True),
)
