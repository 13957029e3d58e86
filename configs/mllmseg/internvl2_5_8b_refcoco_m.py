# Like internvl2_5_8b_refcoco.py, for testing what it trained on RefCOCO-M.
_base_ = [
    "../_base_/models/internvl_8b.py",
    "../_base_/datasets/refcoco_m.py",
    "../_base_/schedules/mllmseg_50k.py",
    "../_base_/default_runtime.py",
]
model = dict(backbone=dict(pretrained="./pretrained/InternVL2_5-8B-hf"))
