# MMSegmentation's 160k schedule: twice the steps.
_base_ = "./semseg_80k.py"
train_cfg = dict(max_iters=160000, val_interval=16000)
param_scheduler = [
    dict(type="LinearLR", start_factor=1e-6, by_epoch=False, begin=0, end=1500),
    dict(type="PolyLR", eta_min=0.0, power=1.0, by_epoch=False, begin=1500, end=160000),
]
