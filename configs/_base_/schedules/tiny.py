# For tiny models from scratch. transformers starts the vision tower's position embeddings at zero; without a
# higher rate, "left" and "top" are learned long after colours are.
effective_batch_size = 16
train_cfg = dict(type="ResumableTrainLoop", max_iters=650, val_interval=650)
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")
optim_wrapper = dict(
    type="FiniteOptimWrapper",
    optimizer=dict(type="AdamW", lr=8e-4, betas=(0.9, 0.99), weight_decay=0.05),
    paramwise_cfg=dict(
        custom_keys={name: dict(lr_mult=10.0, decay_mult=0.0) for name in ("position_embedding", "pos_embed")}
    ),
    clip_grad=dict(max_norm=1.0),
)
param_scheduler = [
    dict(type="LinearLR", start_factor=1e-2, by_epoch=False, begin=0, end=30),
    dict(type="CosineAnnealingLR", eta_min=0.0, by_epoch=False, begin=30, end=650),
]
