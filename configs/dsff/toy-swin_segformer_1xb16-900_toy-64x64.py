_base_ = [
    "../_base_/models/toy_swin.py",
    "../_base_/models/toy_head_segformer.py",
    "../_base_/datasets/toy_semseg.py",
    "../_base_/schedules/toy_semseg.py",
    "../_base_/semseg_runtime.py",
]
model = dict(backbone=_base_.backbone)
