# The shape of the paper's schedule (AdamW, cosine with 3 % warm-up) in minutes on two CPU cores; a small model takes
# larger steps.
_base_ = "./mllmseg_50k.py"
effective_batch_size = 16
train_cfg = dict(max_iters=800, val_interval=800)
optim_wrapper = dict(optimizer=dict(lr=2e-3))
param_scheduler = [
    dict(type="LinearLR", start_factor=1e-3, by_epoch=False, begin=0, end=24),
    dict(type="CosineAnnealingLR", eta_min=0.0, by_epoch=False, begin=24, end=800),
]
# One process.
sync_bn = None
