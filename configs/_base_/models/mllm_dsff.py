# What the models with the DSFF decoder of MLLMSeg have in common, of any family. The head's input sizes follow from
# the backbone.
model = dict(
    type="MLLMSegmentor",
    data_preprocessor=dict(type="ImgDataPreprocessor", non_blocking=True),
    prompt="segment",
    protocol="independent",
    backbone=dict(
        type="MLLMBackbone",
        arch=dict(tie_word_embeddings=False, text_config=dict(tie_word_embeddings=False)),
        lora=dict(r=64, lora_alpha=128, lora_dropout=0.05),
        trainable=["llm_norm"],
        dtype="auto",
        gradient_checkpointing=True,
    ),
    decode_head=dict(type="DSFFHead", fusion="dsff", with_cp=True),
)
