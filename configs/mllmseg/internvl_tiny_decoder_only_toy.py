# The LLM stays as it is: no LoRA.
_base_ = "./internvl_tiny_toy.py"
model = dict(backbone=dict(lora=None))
