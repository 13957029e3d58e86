# Table 4 of the paper, third row: both maps concatenated, without cross-attention between them.
_base_ = "./internvl2_5_8b_refcoco.py"
model = dict(decode_head=dict(fusion="concat"))
