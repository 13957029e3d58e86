# Overfits a random tiny model to a handful of real photographs: a check of the whole way on real data, not a
# benchmark. RefCOCO, RefCOCO+ and RefCOCOg together; trained and tested on the same expressions.
_base_ = [
    "../_base_/models/internvl_tiny.py",
    "../_base_/schedules/tiny.py",
    "../_base_/default_runtime.py",
]
data_root = "data/real_refcoco"
image_size = 96


def refer(name, split_file, split, pipeline, **kwargs):
    return dict(
        type="RefCOCODataset",
        data_root=data_root,
        ann_file=f"{name}/instances.json",
        split_file=f"{name}/{split_file}",
        data_prefix=dict(img_path="images"),
        split=split,
        pipeline=pipeline,
        **kwargs,
    )


def family(pipeline, **kwargs):
    return dict(
        type="ConcatDataset",
        datasets=[
            refer("refcoco", "refs(unc).p", ["val", "testA", "testB"], pipeline, **kwargs),
            refer("refcoco+", "refs(unc).p", ["val", "testA", "testB"], pipeline, **kwargs),
            refer("refcocog", "refs(umd).p", ["val", "test"], pipeline, **kwargs),
            refer("refcocog", "refs(google).p", "val", pipeline, dataset_name="refcocog_google", **kwargs),
        ],
    )


train_pipeline = [
    dict(type="LoadRGBImage"),
    dict(type="SampleExpressions", max_expressions=5),
    dict(type="LoadReferringMasks"),
    dict(type="ResizeToInput", size=image_size),
    dict(type="PackReferringInputs"),
]
test_pipeline = [
    dict(type="LoadRGBImage"),
    dict(type="ResizeToInput", size=image_size),
    dict(type="LoadReferringMasks"),
    dict(type="PackReferringInputs"),
]
train_dataloader = dict(
    batch_size=16,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type="InfiniteSampler", shuffle=True),
    dataset=family(train_pipeline),
)
val_dataloader = dict(
    batch_size=16,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=family(test_pipeline, test_mode=True),
)
test_dataloader = dict(
    batch_size=16,
    num_workers=1,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=family(test_pipeline, test_mode=True),
)
train_cfg = dict(max_iters=300, val_interval=300)
param_scheduler = [
    dict(type="LinearLR", start_factor=1e-2, by_epoch=False, begin=0, end=30),
    dict(type="CosineAnnealingLR", eta_min=0.0, by_epoch=False, begin=30, end=300),
]
val_evaluator = dict(type="RESMetric")
test_evaluator = dict(type="RESMetric")
default_hooks = dict(checkpoint=dict(interval=100))
del refer, family
