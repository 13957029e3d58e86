# All expressions of an image in one prompt, in training and test.
_base_ = "./internvl_tiny_toy.py"
model = dict(protocol="joint")
