import json

import numpy as np
import pytest
from helpers.saved_predictions import PIPELINE, dump, guessed, refer_dataset
from mmengine.registry import DefaultScope
from mmseg.registry import DATASETS

from mmseg_mllm.datasets.refer_conversion import refer_to_json
from mmseg_mllm.errors import DataError
from mmseg_mllm.evaluation import RESMetric
from mmseg_mllm.evaluation.counts import count_image
from mmseg_mllm.evaluation.predictions import read_predictions
from mmseg_mllm.evaluation.saved import saved_samples


def figures(samples, **arguments) -> dict[str, str]:
    """Every figure to its last digit; as text, since nothing equals NaN."""
    metric = RESMetric(**arguments)
    for sample in samples:
        metric.process(None, [sample])
    return {name: repr(value) for name, value in metric.evaluate(metric.tally.seen).items()}


@pytest.mark.parametrize("arguments", [{}, dict(rejection="strict"), dict(rotate_expressions=True)])
@pytest.mark.parametrize("seed", range(3))
def test_figures_of_a_file_are_those_of_the_test(refer_root, tmp_path, seed, arguments):
    datasets = [
        refer_dataset(refer_root, "refcoco", split=["val", "testA"]),
        refer_dataset(refer_root, "grefcoco"),
    ]
    samples = [sample for dataset in datasets for sample in guessed(dataset, seed=seed)]
    file = read_predictions(dump(tmp_path / "a.json", samples))
    expected = figures((sample.to_dict() for sample in samples), **arguments)
    assert figures(saved_samples(datasets, file), **arguments) == expected
    for name in ("refcoco/val/mIoU", "refcoco/testA/REC mean box IoU", "grefcoco/val/GRES T-acc"):
        assert name in expected


def test_order_does_not_matter_and_no_image_is_read(refer_root, tmp_path):
    dataset = refer_dataset(refer_root, "refcoco", split=["val", "train"])
    samples = guessed(dataset)
    path = dump(tmp_path / "a.json", samples)
    for image in (refer_root / "images").iterdir():
        image.unlink()
    content = json.loads(path.read_text())
    np.random.default_rng(0).shuffle(content["predictions"])
    path.write_text(json.dumps(content))
    expected = figures(sample.to_dict() for sample in samples)
    assert figures(saved_samples([dataset], read_predictions(path))) == expected


def test_a_test_set_that_was_tested_twice_counts_twice(refer_root, tmp_path):
    dataset = refer_dataset(refer_root, "refcoco")
    samples = [*guessed(dataset, seed=1), *guessed(dataset, seed=2)]
    file = read_predictions(dump(tmp_path / "a.json", samples))
    expected = figures(sample.to_dict() for sample in samples)
    assert figures(saved_samples([dataset, dataset], file)) == expected
    with pytest.raises(DataError, match=r"6 of 12 expressions of .* are not in the test set"):
        saved_samples([dataset], file)


@pytest.fixture
def val(refer_root, tmp_path):
    """A test set, and the content of the file of its test."""
    dataset = refer_dataset(refer_root, "refcoco")
    return dataset, json.loads(dump(tmp_path / "a.json", guessed(dataset)).read_text())


def refusal(tmp_path, dataset, content) -> str:
    path = tmp_path / "changed.json"
    path.write_text(json.dumps(content))
    with pytest.raises(DataError) as error:
        list(saved_samples([dataset], read_predictions(path)))
    assert "\n" not in str(error.value)
    return str(error.value)


def test_missing_and_additional_predictions_are_told(val, tmp_path):
    dataset, content = val
    first = content["predictions"].pop(0)
    missing = refusal(tmp_path, dataset, content)
    assert missing.startswith("1 of 6 expressions of the test set are not in ")
    assert "'left man'" in missing
    assert "--split" in missing
    content["predictions"] += [first, dict(first, split="testA")]
    more = refusal(tmp_path, dataset, content)
    assert more.startswith("1 of 7 expressions of ")
    assert "not in the test set, such as refcoco testA image 11" in more


def test_another_wording_is_told(val, tmp_path):
    dataset, content = val
    content["predictions"][2]["expression"] = "something else"
    message = refusal(tmp_path, dataset, content)
    assert "1 of 6 expressions of the test set" in message
    assert "'something else'" in message


def test_masks_of_another_size_or_damaged_are_told_with_their_place(val, tmp_path):
    dataset, content = val
    one = content["predictions"][1]
    good = one["segmentation"]
    one["segmentation"] = dict(good, size=good["size"][::-1])
    message = refusal(tmp_path, dataset, content)
    assert f"image {one['image_id']}, ref {one['ref_id']}, sentence {one['sent_id']}" in message
    assert "the mask has size (height, width) [40, 30], the image [30, 40]" in message
    one["segmentation"] = dict(good, counts=good["counts"][:-3])
    assert f"sentence {one['sent_id']}" in refusal(tmp_path, dataset, content)


@pytest.mark.parametrize("arguments", [dict(rejection="lisa"), {}])
def test_pixels_that_are_not_counted_are_so_from_a_file_too(refer_root, tmp_path, arguments):
    refer_to_json(folder=refer_root / "grefcoco", refs="grefs(unc).json", out=tmp_path / "all.json")
    content = json.loads((tmp_path / "all.json").read_text())
    content["groups"][0]["ignore_ids"] = [102]
    content["groups"][1]["ignore_ids"] = [101]  # without a target
    (tmp_path / "all.json").write_text(json.dumps(content))
    changes = dict(type="ReferringJSONDataset", ann_file=str(tmp_path / "all.json"), dataset_name="mine")
    with DefaultScope.overwrite_default_scope("mmseg"):
        dataset = DATASETS.build(
            dict(
                data_root=str(refer_root),
                data_prefix=dict(img_path="images"),
                split="val",
                test_mode=True,
                pipeline=PIPELINE,
            )
            | changes
        )
    samples = guessed(dataset)
    file = read_predictions(dump(tmp_path / "a.json", samples))
    expected = figures((sample.to_dict() for sample in samples), **arguments)
    assert figures(saved_samples([dataset], file), **arguments) == expected
    counted = [count_image(sample.to_dict(), rotate=False).expressions for sample in samples]
    ious = [e.iou if e.has_target else float(e.rejected) for image in counted for e in image]
    assert [prediction.iou for prediction in file.predictions] == ious
    for sample in samples:
        sample.gt_instances.pop("ignored", None)
    assert figures((sample.to_dict() for sample in samples), **arguments) != expected
