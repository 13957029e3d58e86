# First stage of pretraining the tiny InternVL: the vision tower and the image tokens learn to tell what a square shows.
_base_ = "./internvl_toy_chat.py"
max_iters = 4200
model = dict(with_text=False, backbone=dict(trainable=["vision", "projector", "llm", "lm_head"]))
custom_hooks = []
load_from = None
train_dataloader = dict(batch_size=16, dataset=dict(seed=2, grey=0.4))
train_cfg = dict(max_iters=max_iters, val_interval=100_000)
optim_wrapper = dict(optimizer=dict(muon=dict(lr=3e-3)))
param_scheduler = [
    dict(type="LinearLR", start_factor=1e-2, by_epoch=False, begin=0, end=30),
    dict(type="CosineAnnealingLR", eta_min=2e-4, by_epoch=False, begin=30, end=max_iters),
]
