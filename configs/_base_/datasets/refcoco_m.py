# Tests on RefCOCO-M, as tools/dataset_converters/parquet2json.py writes it; trains on the RefCOCO family.
_base_ = "./refcoco_family.py"
test_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type="ReferringJSONDataset",
        data_root="data/refcoco-m",
        ann_file="annotations.json",
        data_prefix=dict(img_path="images"),
        split="validation",
        pipeline=_base_.test_pipeline,
        test_mode=True,
    )
)
