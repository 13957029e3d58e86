# The mask decoder sees the detail map alone.
_base_ = "./internvl_tiny_toy.py"
model = dict(decode_head=dict(fusion="detail"))
