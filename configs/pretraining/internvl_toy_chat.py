# Second stage of pretraining the tiny InternVL: questions and answers in text, and still what the squares show, with
# the vision tower frozen. All scenes are made on the fly, with other seeds than the toy set's.
_base_ = ["../_base_/models/internvl_tiny_pretrained.py", "../_base_/default_runtime.py"]
image_size = 96
max_iters = 13200
batch_size = 8
model = dict(
    _delete_=True,
    type="MLLMChat",
    data_preprocessor={{_base_.model.data_preprocessor}},
    backbone=dict(
        type="MLLMBackbone",
        arch={{_base_.model.backbone.arch}},
        tokenizer=dict(type="build_tiny_tokenizer"),
        trainable=["projector", "llm", "lm_head"],
    ),
)
load_from = "work_dirs/internvl_toy_squares/iter_4200.pth"
train_dataloader = dict(
    batch_size=batch_size,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type="InfiniteSampler", shuffle=True),
    dataset=dict(type="ToyChatDataset", length=1_000_000, image_size=image_size, seed=3),
)
val_dataloader = dict(
    batch_size=50,
    num_workers=0,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(type="ToyChatDataset", length=100, image_size=image_size, seed=1, split="val"),
)
val_evaluator = dict(type="AnswerMetric")
train_cfg = dict(type="IterBasedTrainLoop", max_iters=max_iters, val_interval=250)
val_cfg = dict(type="ValLoop")
optim_wrapper = dict(
    constructor="MuonConstructor",
    optimizer=dict(
        muon=dict(lr=2.5e-3, weight_decay=0.05, momentum=0.95, adjust_lr_fn="match_rms_adamw"),
        adamw=dict(lr=1.5e-3, betas=(0.9, 0.95), weight_decay=0.0),
    ),
    clip_grad=dict(max_norm=1.0),
)
param_scheduler = [
    dict(type="LinearLR", start_factor=1e-2, by_epoch=False, begin=0, end=60),
    dict(
        type="LinearLR",
        start_factor=1.0,
        end_factor=0.01,
        by_epoch=False,
        begin=max_iters * 3 // 4,
        end=max_iters,
    ),
]
custom_hooks = [dict(type="StandardiseFeatures")]
default_hooks = dict(checkpoint=dict(interval=250, max_keep_ckpts=2))
