# Expressions with several targets or none: goes on from the RES model, whose LoRA is merged into its weights.
_base_ = [
    "../_base_/models/internvl_8b.py",
    "../_base_/datasets/grefcoco.py",
    "../_base_/schedules/mllmseg_20k.py",
    "../_base_/default_runtime.py",
]
model = dict(
    backbone=dict(pretrained="./pretrained/MLLMSeg_InternVL2_5_8B_RES"),
    decode_head=dict(pretrained="./pretrained/MLLMSeg_InternVL2_5_8B_RES/decode_head.safetensors"),
)
