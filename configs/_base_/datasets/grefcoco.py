# gRefCOCO in the REFER layout, with the pipelines and loaders of the RefCOCO family.
_base_ = "./refcoco_family.py"


def grefer(split, pipeline, **kwargs):
    return dict(
        _delete_=True,
        type="GRefCOCODataset",
        data_root={{_base_.data_root}},
        ann_file="grefcoco/instances.json",
        split_file="grefcoco/grefs(unc).json",
        data_prefix=dict(img_path="train2014"),
        split=split,
        pipeline=pipeline,
        **kwargs,
    )


train_dataloader = dict(dataset=grefer("train", {{_base_.train_pipeline}}))
val_dataloader = dict(dataset=grefer("val", {{_base_.test_pipeline}}, test_mode=True))
test_dataloader = dict(dataset=grefer(["val", "testA", "testB"], {{_base_.test_pipeline}}, test_mode=True))
del grefer
