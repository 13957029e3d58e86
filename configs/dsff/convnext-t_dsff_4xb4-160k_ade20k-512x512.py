_base_ = [
    "../_base_/models/dsff_convnext_t.py",
    "../_base_/datasets/ade20k.py",
    "../_base_/schedules/semseg_160k.py",
    "../_base_/semseg_runtime.py",
]
custom_imports = dict(imports=["mmseg_mllm", "mmseg_mllm.models.backbones.mmpretrain_backbones"])
model = dict(
    data_preprocessor=dict(size=(512, 512)),
    decode_head=dict(num_classes=150),
)
