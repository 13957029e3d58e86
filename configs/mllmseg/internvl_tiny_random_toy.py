# From random numbers in 200 steps, a check that a family learns; *_tiny_random_toy.py are the same of others.
_base_ = [
    "../_base_/models/internvl_tiny.py",
    "../_base_/datasets/toy_refcoco.py",
    "../_base_/schedules/tiny_200.py",
    "../_base_/default_runtime.py",
]
