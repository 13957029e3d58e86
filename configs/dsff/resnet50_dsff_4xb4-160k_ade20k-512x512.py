_base_ = [
    "../_base_/models/dsff_resnet50.py",
    "../_base_/datasets/ade20k.py",
    "../_base_/schedules/semseg_160k.py",
    "../_base_/semseg_runtime.py",
]
model = dict(
    data_preprocessor=dict(size=(512, 512)),
    decode_head=dict(num_classes=150),
)
