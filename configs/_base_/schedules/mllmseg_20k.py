# The paper's GRES schedule: that of RES in 20k steps.
_base_ = "./mllmseg_50k.py"
train_cfg = dict(max_iters=20000)
param_scheduler = [
    dict(type="LinearLR", start_factor=1e-3, by_epoch=False, begin=0, end=600),
    dict(type="CosineAnnealingLR", eta_min=0.0, by_epoch=False, begin=600, end=20000),
]
