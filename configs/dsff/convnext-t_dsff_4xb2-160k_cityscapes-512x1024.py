_base_ = [
    "../_base_/models/dsff_convnext_t.py",
    "../_base_/datasets/cityscapes.py",
    "../_base_/schedules/semseg_160k.py",
    "../_base_/semseg_runtime.py",
]
custom_imports = dict(imports=["mmseg_mllm", "mmseg_mllm.models.backbones.mmpretrain_backbones"])
# A whole image has 32,768 detail pixels, and attention grows with their square: test in crops as trained.
model = dict(
    data_preprocessor=dict(size=(512, 1024)),
    test_cfg=dict(mode="slide", crop_size=(512, 1024), stride=(384, 768)),
)
