# The fusion of Table 4 (arXiv 2508.04107) that puts both maps beside one another.
_base_ = "./internvl_tiny_toy.py"
model = dict(decode_head=dict(fusion="concat"))
