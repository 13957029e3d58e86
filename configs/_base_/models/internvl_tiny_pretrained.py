# The tiny pretrained InternVL that comes with the package, trained as the paper does: tower, projector and LLM
# frozen; LoRA, the rows of [SEG] and [REJ], the LLM's final norm and the mask decoder trained.
_base_ = "./internvl_tiny.py"
model = dict(
    backbone=dict(
        pretrained="mmseg_mllm://internvl_tiny",
        tokenizer=None,
        lora=dict(r=16, lora_alpha=32, lora_dropout=0.0),
        trainable=["llm_norm"],
        arch=dict(
            vision_config=dict(
                use_mean_pooling=False,
                hidden_size=192,
                num_attention_heads=6,
                intermediate_size=512,
                initializer_range=0.07,
            ),
            text_config=dict(
                num_hidden_layers=6,
                vocab_size=872,
                initializer_range=0.07,
                rope_parameters=dict(rope_type="default", rope_theta=1e6),
            ),
        ),
    ),
    # As wide as the tower, whose features it takes as they are, like the paper's.
    decode_head=dict(channels=192, feedforward_channels=384),
)
