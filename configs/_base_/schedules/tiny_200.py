# A short run: whether a tiny random model learns at all, not how well.
_base_ = "./tiny.py"
effective_batch_size = 4
train_cfg = dict(max_iters=200, val_interval=200)
optim_wrapper = dict(optimizer=dict(lr=2e-3))
param_scheduler = [
    dict(type="LinearLR", start_factor=1e-2, by_epoch=False, begin=0, end=20),
    dict(type="CosineAnnealingLR", eta_min=0.0, by_epoch=False, begin=20, end=200),
]
