# The toy set of tools/dataset_converters/make_toy_refcoco.py: 96 px scenes of coloured shapes.
data_root = "data/toy_refcoco"
image_size = 96
dataset = dict(
    type="RefCOCODataset",
    data_root=data_root,
    ann_file="refcoco/instances.json",
    split_file="refcoco/refs(unc).p",
    data_prefix=dict(img_path="train2014"),
    dataset_name="toy_refcoco",
)
train_pipeline = [
    dict(type="LoadRGBImage"),
    dict(type="SampleExpressions", max_expressions=4),
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
    dataset=dict(split="train", pipeline=train_pipeline, **dataset),
)
val_dataloader = dict(
    batch_size=20,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(split="val", pipeline=test_pipeline, test_mode=True, **dataset),
)
test_dataloader = dict(
    batch_size=20,
    num_workers=1,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(split=["val", "testA", "testB"], pipeline=test_pipeline, test_mode=True, **dataset),
)
val_evaluator = dict(type="RESMetric")
test_evaluator = dict(type="RESMetric")
del dataset
