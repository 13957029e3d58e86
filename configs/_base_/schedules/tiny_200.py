# A short run: does a tiny random model learn at all?
_base_ = "./tiny.py"
train_cfg = dict(max_iters=200, val_interval=200)
param_scheduler = [
    dict(type="LinearLR", start_factor=1e-2, by_epoch=False, begin=0, end=30),
    dict(type="CosineAnnealingLR", eta_min=0.0, by_epoch=False, begin=30, end=200),
]
