_base_ = [
    "../_base_/models/toy_resnet.py",
    "../_base_/models/toy_head_fcn.py",
    "../_base_/datasets/toy_semseg.py",
    "../_base_/schedules/toy_semseg.py",
    "../_base_/semseg_runtime.py",
]
model = dict(backbone=_base_.backbone)
