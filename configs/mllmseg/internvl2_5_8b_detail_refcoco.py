# Table 4 of the paper, first row: the vision tower's map alone.
_base_ = "./internvl2_5_8b_refcoco.py"
model = dict(decode_head=dict(fusion="detail"))
