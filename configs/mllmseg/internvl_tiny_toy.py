# Trains in minutes on two CPU cores; see `make quickstart`.
_base_ = [
    "../_base_/models/internvl_tiny.py",
    "../_base_/datasets/toy_refcoco.py",
    "../_base_/schedules/tiny.py",
    "../_base_/default_runtime.py",
]
default_hooks = dict(checkpoint=dict(interval=100))
