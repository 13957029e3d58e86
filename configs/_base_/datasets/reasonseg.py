# Tests on ReasonSeg, in the folder of LISA's layout with the JSON of tools/dataset_converters/reasonseg2json.py,
# scored as LISA does; trains on the RefCOCO family.
_base_ = "./refcoco_family.py"
test_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type="ReferringJSONDataset",
        data_root="data/ReasonSeg",
        ann_file="reasonseg.json",
        dataset_name="reasonseg",
        split=["val", "test"],
        pipeline=_base_.test_pipeline,
        test_mode=True,
    )
)
test_evaluator = dict(rejection="lisa")
