import numpy as np
import pytest
import torch
from helpers.tiny_model import IMAGE_SIZE, tiny_config
from mmengine.config import Config
from PIL import Image

from mmseg_mllm.apis import RESPredictor
from mmseg_mllm.errors import CheckpointError, ConfigError, DataError


@pytest.fixture
def predictor(tmp_path):
    torch.manual_seed(0)
    from mmseg.registry import MODELS

    config = tiny_config()
    config["data_preprocessor"] = dict(type="ImgDataPreprocessor", mean=[120.0] * 3, std=[60.0] * 3)
    torch.save(MODELS.build(config).state_dict(), tmp_path / "model.pth")
    return RESPredictor.from_config(Config(dict(model=config)), str(tmp_path / "model.pth"), device="cpu")


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(0, 255, (20, 50, 3), dtype=np.uint8)


def test_masks_have_the_images_size_and_are_the_models(predictor, image):
    predictor.set_image(image)
    found = predictor.segment(["left dog", "The Cat."])
    assert [f.expression for f in found] == ["left dog", "The Cat."]
    assert all(f.mask.shape == (20, 50) and f.mask.dtype == bool for f in found)
    size = (IMAGE_SIZE, IMAGE_SIZE)
    resized = np.array(Image.fromarray(image).resize(size, Image.Resampling.BICUBIC))
    pixels = (torch.from_numpy(resized).permute(2, 0, 1).float() - 120) / 60
    from helpers.tiny_model import make_samples

    logits = predictor.model(pixels[None], make_samples([["left dog", "The Cat."]]), mode="tensor")
    wanted = torch.nn.functional.interpolate(logits.sigmoid(), (20, 50), mode="bilinear")[:, 0] >= 0.5
    assert np.array_equal(np.stack([f.mask for f in found]), wanted.numpy())


def test_one_expression_as_text_and_an_image_file(predictor, image, tmp_path):
    Image.fromarray(image).save(tmp_path / "image.png")
    predictor.set_image(tmp_path / "image.png")
    from_file = predictor.segment("left dog")[0]
    predictor.set_image(image)
    assert np.array_equal(from_file.mask, predictor.segment(["left dog"])[0].mask)
    assert predictor.segment([]) == []


def test_mistakes_are_told(predictor, image, tmp_path):
    with pytest.raises(ConfigError, match="set_image first"):
        predictor.segment("dog")
    with pytest.raises(DataError, match=r"nothing\.jpg"):
        predictor.set_image("nothing.jpg")
    with pytest.raises(ConfigError, match="uint8 RGB"):
        predictor.set_image(image.astype(float))
    predictor.set_image(image)
    with pytest.raises(ConfigError, match="has no words"):
        predictor.segment(["dog", " . "])
    with pytest.raises(CheckpointError, match=r"nothing\.pth"):
        RESPredictor.from_config(Config(dict(model=tiny_config())), str(tmp_path / "nothing.pth"))
