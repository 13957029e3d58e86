# A random InternVL of about 2 M parameters for tests; everything is trained.
model = dict(
    type="MLLMSegmentor",
    data_preprocessor=dict(
        type="ImgDataPreprocessor", mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375]
    ),
    prompt="short",
    protocol="independent",
    backbone=dict(
        type="MLLMBackbone",
        tokenizer=dict(type="build_tiny_tokenizer"),
        trainable=["vision", "projector", "llm", "lm_head"],
        arch=dict(
            model_type="internvl",
            downsample_ratio=0.5,
            tie_word_embeddings=False,
            vision_config=dict(
                hidden_size=128,
                num_hidden_layers=4,
                num_attention_heads=4,
                intermediate_size=384,
                attention_bias=True,
                image_size=96,
                patch_size=8,
                layer_scale_init_value=1.0,
                initializer_range=0.1,
            ),
            text_config=dict(
                model_type="qwen2",
                hidden_size=128,
                num_hidden_layers=4,
                num_attention_heads=4,
                num_key_value_heads=2,
                intermediate_size=384,
                vocab_size=1024,
                initializer_range=0.2,
                tie_word_embeddings=False,
            ),
        ),
    ),
    decode_head=dict(
        type="DSFFHead",
        channels=128,
        feedforward_channels=256,
        dropout=0.0,
        norm_cfg=dict(type="GN", num_groups=8),
    ),
)
