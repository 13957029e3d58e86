# The paper's RES schedule: 50k steps of 32 images (8 on each of 4 GPUs), AdamW, cosine with 3 % warm-up.
effective_batch_size = 32
train_cfg = dict(type="ResumableTrainLoop", max_iters=50000, val_interval=5000)
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")
optim_wrapper = dict(
    type="FiniteOptimWrapper",
    optimizer=dict(type="AdamW", lr=4e-5, betas=(0.9, 0.999), weight_decay=0.05),
    clip_grad=dict(max_norm=1.0),
)
param_scheduler = [
    dict(type="LinearLR", start_factor=1e-3, by_epoch=False, begin=0, end=1500),
    dict(type="CosineAnnealingLR", eta_min=0.0, by_epoch=False, begin=1500, end=50000),
]
# Batch statistics over the masks of all processes.
sync_bn = "torch"
