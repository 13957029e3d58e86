import json

import numpy as np
import pytest
import torch
from helpers.tiny_model import tiny_config
from PIL import Image
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from mmseg_mllm.apis import RESInferencer, RESPredictor
from mmseg_mllm.errors import ConfigError, DataError

TEXTS = ["left dog", "The Cat."]


@pytest.fixture(scope="module")
def inferencer():
    from mmseg.registry import MODELS

    torch.manual_seed(0)
    config = tiny_config()
    config["data_preprocessor"] = dict(type="ImgDataPreprocessor", mean=[120.0] * 3, std=[60.0] * 3)
    return RESInferencer(RESPredictor(model=MODELS.build(config)), show_progress=False)


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    for k in range(3):
        Image.fromarray(rng.integers(0, 255, (20 + k, 30, 3), dtype=np.uint8)).save(tmp_path / f"{k}.png")
    return tmp_path


def test_a_folder_an_array_and_a_file(inferencer, folder):
    array = np.array(Image.open(folder / "1.png"))
    found = inferencer([folder, array], TEXTS, batch_size=3)["predictions"]
    assert len(found) == 4
    for image, results in zip((*sorted(folder.glob("*.png")), array), found, strict=True):
        inferencer.predictor.set_image(image)
        for result, wanted in zip(results, inferencer.predictor.segment(TEXTS), strict=True):
            assert result["expression"] == wanted.expression
            assert (coco_mask.decode(result["rle"]) != wanted.mask).sum() <= 1
            assert result["score"] == pytest.approx(wanted.score, abs=1e-3)
    (one,) = inferencer(str(folder / "1.png"), "left dog")["predictions"]
    assert one[0]["rle"]["size"] == [21, 30]


def test_data_samples_and_texts_for_every_image(inferencer, folder):
    images = [folder / "0.png", folder / "1.png"]
    found = inferencer(images, [TEXTS, ["zebra"]], return_datasamples=True, batch_size=2)["predictions"]
    assert [sample.expressions for sample in found] == [TEXTS, ["zebra"]]
    pred = found[0].pred_instances
    assert pred.masks.shape == (2, 20, 30)
    assert pred.masks.dtype == torch.bool
    assert (pred.rejected == (pred.scores < 0)).all()
    rows, columns = pred.masks[1].nonzero(as_tuple=True)
    assert pred.bboxes[1].tolist() == [columns.min(), rows.min(), columns.max(), rows.max()]


def test_a_folder_of_results(inferencer, folder, tmp_path):
    out = tmp_path / "out"
    inferencer([folder / "0.png", np.zeros((9, 9, 3), np.uint8)], [["dog"], ["cat"]], out_dir=out)
    records = [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]
    assert [record["image"] for record in records] == [str(folder / "0.png"), "image2"]
    for record in records:
        assert (out / record["overlay"]).is_file()
        assert (out / record["results"][0]["mask"]).is_file()
    assert [c["name"] for c in COCO(out / "coco.json").dataset["categories"]] == ["dog", "cat"]
    with pytest.raises(ConfigError, match="holds results already"):
        inferencer(folder / "0.png", "dog", out_dir=out)


def test_mistakes_are_told(inferencer, folder):
    with pytest.raises(ConfigError, match="a list for each of the 3 images"):
        inferencer(folder, [["dog"], ["cat"]])
    with pytest.raises(DataError, match=r"nothing\.png"):
        inferencer("nothing.png", "dog")
    (folder / "0.png").write_bytes(b"broken")
    with pytest.raises(DataError, match=r"0\.png"):
        inferencer(folder, "dog")
