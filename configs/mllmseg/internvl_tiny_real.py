# Overfits a random tiny model to a handful of real photographs: a check of the whole way on real data, not a
# benchmark. RefCOCO, RefCOCO+ and RefCOCOg together; trained and tested on the same expressions.
_base_ = [
    "../_base_/models/internvl_tiny.py",
    "../_base_/datasets/toy_refcoco.py",
    "../_base_/schedules/tiny.py",
    "../_base_/default_runtime.py",
]
data_root = "data/real_refcoco"
parts = [
    dict(
        ann_file="refcoco/instances.json", split_file="refcoco/refs(unc).p", split=["val", "testA", "testB"]
    ),
    dict(
        ann_file="refcoco+/instances.json", split_file="refcoco+/refs(unc).p", split=["val", "testA", "testB"]
    ),
    dict(ann_file="refcocog/instances.json", split_file="refcocog/refs(umd).p", split=["val", "test"]),
    dict(
        ann_file="refcocog/instances.json",
        split_file="refcocog/refs(google).p",
        split="val",
        dataset_name="refcocog_google",
    ),
]


def family(pipeline, **kwargs):
    common = dict(type="RefCOCODataset", data_root=data_root, data_prefix=dict(img_path="images"), **kwargs)
    datasets = [dict(pipeline=pipeline, **common, **part) for part in parts]
    return dict(dataset=dict(_delete_=True, type="ConcatDataset", datasets=datasets))


train_dataloader = family({{_base_.train_pipeline}})
val_dataloader = family({{_base_.test_pipeline}}, test_mode=True)
test_dataloader = family({{_base_.test_pipeline}}, test_mode=True)
train_cfg = dict(max_iters=300, val_interval=300)
param_scheduler = [
    dict(type="LinearLR", start_factor=1e-2, by_epoch=False, begin=0, end=30),
    dict(type="CosineAnnealingLR", eta_min=0.0, by_epoch=False, begin=30, end=300),
]
default_hooks = dict(checkpoint=dict(interval=100))
del family, parts
