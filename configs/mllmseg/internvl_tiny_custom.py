# One's own data; docs/custom_data.md goes through it. For a full-size model, change the first line only.
_base_ = "./internvl_tiny_toy.py"
data_root = "data/mine"
data = dict(
    _delete_=True,
    type="ReferringJSONDataset",
    data_root=data_root,
    ann_file="annotations.json",
    data_prefix=dict(img_path="images"),
)
train_dataloader = dict(dataset=dict(**data, split="train", pipeline=_base_.train_pipeline))
val_dataloader = dict(dataset=dict(**data, split="val", pipeline=_base_.test_pipeline, test_mode=True))
test_dataloader = dict(dataset=dict(**data, split="val", pipeline=_base_.test_pipeline, test_mode=True))
del data
