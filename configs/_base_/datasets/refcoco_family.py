# RefCOCO, RefCOCO+ and RefCOCOg (umd) in the REFER layout, trained together; images are COCO train2014. A step
# draws datasets equally often, then their images, as MLLMSeg does; train_dataloader.sampler.type=InfiniteSampler
# draws from the plain concatenation.
data_root = "data/refer"
image_size = 448


def refer(name, split_file, split, pipeline, **kwargs):
    return dict(
        type="RefCOCODataset",
        data_root=data_root,
        ann_file=f"{name}/instances.json",
        split_file=f"{name}/{split_file}",
        data_prefix=dict(img_path="train2014"),
        split=split,
        pipeline=pipeline,
        **kwargs,
    )


train_pipeline = [
    dict(type="LoadRGBImage"),
    dict(type="RandomJPEGQuality", min_quality=75, max_quality=100),
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
    batch_size=8,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type="UniformDatasetSampler"),
    dataset=dict(
        type="ConcatDataset",
        datasets=[
            refer("refcoco", "refs(unc).p", "train", train_pipeline),
            refer("refcoco+", "refs(unc).p", "train", train_pipeline),
            refer("refcocog", "refs(umd).p", "train", train_pipeline),
        ],
    ),
)
val_dataloader = dict(
    batch_size=4,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=refer("refcoco", "refs(unc).p", "val", test_pipeline, test_mode=True),
)
test_dataloader = dict(
    batch_size=4,
    num_workers=4,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(
        type="ConcatDataset",
        datasets=[
            refer("refcoco", "refs(unc).p", ["val", "testA", "testB"], test_pipeline, test_mode=True),
            refer("refcoco+", "refs(unc).p", ["val", "testA", "testB"], test_pipeline, test_mode=True),
            refer("refcocog", "refs(umd).p", ["val", "test"], test_pipeline, test_mode=True),
        ],
    ),
)
val_evaluator = dict(type="RESMetric")
test_evaluator = dict(type="RESMetric")
del refer
