# Learns to reject expressions without a target; goes on from the checkpoint of internvl_tiny_toy.py.
_base_ = "./internvl_tiny_toy.py"
# So that the mask decoder, too, tells the queries of what is not there.
model = dict(empty_masks=True)
load_from = "work_dirs/internvl_tiny_toy/iter_800.pth"
grefcoco = dict(
    type="GRefCOCODataset",
    ann_file="grefcoco/instances.json",
    split_file="grefcoco/grefs(unc).json",
    dataset_name="toy_grefcoco",
)
train_dataloader = dict(dataset=grefcoco)
val_dataloader = dict(dataset=grefcoco)
test_dataloader = dict(dataset=grefcoco)
train_cfg = dict(max_iters=600, val_interval=600)
param_scheduler = [
    dict(type="LinearLR", start_factor=1e-2, by_epoch=False, begin=0, end=30),
    dict(type="CosineAnnealingLR", eta_min=0.0, by_epoch=False, begin=30, end=600),
]
del grefcoco
