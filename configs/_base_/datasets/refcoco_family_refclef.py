# The RefCOCO family and RefCLEF (unc; images saiapr_tc-12) together, as MLLMSeg's training script does.
_base_ = "./refcoco_family.py"
refclef = dict(
    type="RefCOCODataset",
    data_root=_base_.data_root,
    ann_file="refclef/instances.json",
    split_file="refclef/refs(unc).p",
    data_prefix=dict(img_path="saiapr_tc-12"),
    split="train",
    pipeline=_base_.train_pipeline,
)
train_dataloader = dict(dataset=dict(datasets=[*_base_.train_dataloader.dataset.datasets, refclef]))
del refclef
