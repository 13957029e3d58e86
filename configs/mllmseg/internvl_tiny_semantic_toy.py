# The mask decoder sees the semantic map alone.
_base_ = "./internvl_tiny_toy.py"
model = dict(decode_head=dict(fusion="semantic"))
