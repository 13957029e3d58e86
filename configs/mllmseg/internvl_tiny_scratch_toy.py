# For comparison: the model of internvl_tiny_toy.py from random numbers, all of it trained. transformers starts the
# vision tower's position embeddings at zero; without a higher rate, "left" and "top" are learned long after colours.
_base_ = "./internvl_tiny_toy.py"
model = dict(
    backbone=dict(
        pretrained=None,
        tokenizer=dict(_delete_=True, type="build_tiny_tokenizer"),
        lora=None,
        trainable=["vision", "projector", "llm", "lm_head"],
    )
)
optim_wrapper = dict(
    _delete_=True,
    type="OptimWrapper",
    optimizer=dict(type="AdamW", lr=8e-4, betas=(0.9, 0.99), weight_decay=0.05),
    clip_grad=dict(max_norm=1.0),
    paramwise_cfg=dict(custom_keys={"position_embeddings": dict(lr_mult=10.0, decay_mult=0.0)}),
)
