# What tiny random models of all families have in common; everything is trained.
model = dict(
    type="MLLMSegmentor",
    data_preprocessor=dict(type="ImgDataPreprocessor", mean=[127.5, 127.5, 127.5], std=[127.5, 127.5, 127.5]),
    prompt="short",
    protocol="independent",
    backbone=dict(
        type="MLLMBackbone",
        image_size=64,
        tokenizer=dict(type="build_tiny_tokenizer"),
        trainable=["vision", "projector", "llm", "lm_head"],
        arch=dict(
            tie_word_embeddings=False,
            vision_config=dict(hidden_size=64, intermediate_size=128, patch_size=8, initializer_range=0.1),
            text_config=dict(
                hidden_size=64,
                num_hidden_layers=2,
                num_attention_heads=4,
                num_key_value_heads=2,
                intermediate_size=128,
                vocab_size=1024,
                initializer_range=0.2,
                tie_word_embeddings=False,
            ),
        ),
    ),
    decode_head=dict(
        type="DSFFHead",
        channels=64,
        feedforward_channels=128,
        dropout=0.0,
        norm_cfg=dict(type="GN", num_groups=8),
    ),
)
