# Table 4 of the paper, second row: the LLM's map alone, upsampled by DySample.
_base_ = "./internvl2_5_8b_refcoco.py"
model = dict(decode_head=dict(fusion="semantic"))
