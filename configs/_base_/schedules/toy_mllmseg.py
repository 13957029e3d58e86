# The shape of the paper's schedule (AdamW, cosine with 3 % warm-up) in minutes on two CPU cores; a small model takes
# larger steps.
_base_ = "./mllmseg_50k.py"
effective_batch_size = 16
train_cfg = dict(max_iters=800, val_interval=800)
optim_wrapper = dict(
    constructor="MuonConstructor",
    optimizer=dict(
        _delete_=True,
        muon=dict(lr=1e-2, weight_decay=0.05, momentum=0.95, adjust_lr_fn="match_rms_adamw"),
        adamw=dict(lr=3e-3, betas=(0.9, 0.95), weight_decay=0.0),
    ),
    clip_grad=dict(max_norm=0.1),
)
param_scheduler = [
    dict(type="LinearLR", start_factor=1e-3, by_epoch=False, begin=0, end=24),
    dict(type="CosineAnnealingLR", eta_min=0.0, by_epoch=False, begin=24, end=800),
]
# One process.
sync_bn = None
