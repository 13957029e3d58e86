# Trained on RefCLEF as well; tested like internvl2_5_8b_refcoco.py.
_base_ = [
    "../_base_/models/internvl_8b.py",
    "../_base_/datasets/refcoco_family_refclef.py",
    "../_base_/schedules/mllmseg_50k.py",
    "../_base_/default_runtime.py",
]
model = dict(backbone=dict(pretrained="./pretrained/InternVL2_5-8B-hf"))
