_base_ = [
    "../_base_/models/internvl_8b.py",
    "../_base_/datasets/refcoco_family.py",
    "../_base_/schedules/mllmseg_50k.py",
    "../_base_/default_runtime.py",
]
model = dict(backbone=dict(pretrained="./pretrained/InternVL2-8B-hf"))
