# The paper's recipe on a tiny pretrained InternVL, in minutes on two CPU cores; see `make quickstart`.
_base_ = [
    "../_base_/models/internvl_tiny_pretrained.py",
    "../_base_/datasets/toy_refcoco.py",
    "../_base_/schedules/toy_mllmseg.py",
    "../_base_/default_runtime.py",
]
default_hooks = dict(checkpoint=dict(interval=100))
