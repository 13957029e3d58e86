from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from helpers.memory import grows_by_less_than
from helpers.tiny_model import IMAGE_SIZE, tiny_config
from mmengine.config import Config
from mmseg.registry import MODELS
from PIL import Image

from mmseg_mllm.apis import RESPredictor
from mmseg_mllm.errors import CheckpointError, ConfigError, DataError


@pytest.fixture
def predictor(tmp_path):
    torch.manual_seed(0)
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


@torch.no_grad()
def test_masks_of_a_rectangle_change_where_the_photo_does():
    """With nothing that mixes cells, nor a query: 6 x 4 of them are 10 x 40 pixels of the photo each."""
    config = tiny_config(image_size=(48, 32))
    config["decode_head"]["fusion"] = "detail"
    config["data_preprocessor"] = dict(type="ImgDataPreprocessor", mean=[120.0] * 3, std=[60.0] * 3)
    torch.manual_seed(0)
    model = MODELS.build(config).eval()
    encoder, decoder = model.backbone.model.model.vision_tower.encoder, model.decode_head.decoder
    for module in (encoder, decoder.self_attn, decoder.cross_attn):
        for parameter in module.parameters():
            parameter.zero_()
    predictor = RESPredictor(model=model)
    photos = np.full((2, 60, 160, 3), 100, dtype=np.uint8)
    photos[1, 40:50, :40] = 250, 0, 30
    maps = []
    for photo in photos:
        predictor.set_image(photo)
        maps.append(predictor.segment("left dog")[0].probability)
    changed = np.abs(maps[1] - maps[0])
    assert changed.shape == (60, 160)
    # That cell and those beside it, which a convolution reaches; resizing has spread it a little further.
    assert changed[30:, :80].sum() > 0.75 * changed.sum()
    assert changed.max() > 1e-3


def test_one_expression_as_text_and_an_image_file(predictor, image, tmp_path):
    Image.fromarray(image).save(tmp_path / "image.png")
    predictor.set_image(tmp_path / "image.png")
    from_file = predictor.segment("left dog")[0]
    predictor.set_image(image)
    assert np.array_equal(from_file.mask, predictor.segment(["left dog"])[0].mask)
    assert predictor.segment([]) == []


def test_photos_are_seen_upright(predictor, image, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(image).save(tmp_path / "image.png", exif=exif)
    predictor.set_image(tmp_path / "image.png")
    found = predictor.segment("left dog")[0]
    assert found.mask.shape == (50, 20)
    predictor.set_image(np.ascontiguousarray(np.rot90(image, -1)))
    wanted = predictor.segment("left dog")[0]
    np.testing.assert_allclose(found.probability, wanted.probability, atol=1e-6)
    predictor.set_image(tmp_path / "image.png", upright=False)
    assert predictor.segment("left dog")[0].mask.shape == (20, 50)


def test_mistakes_are_told(predictor, image, tmp_path):
    predictor.model.backbone.tokenizer.tokenizer.add_special_tokens(dict(eos_token="<end_of_turn>"))
    with pytest.raises(ConfigError, match="set_image first"):
        predictor.segment("dog")
    with pytest.raises(DataError, match=r"nothing\.jpg"):
        predictor.set_image("nothing.jpg")
    with pytest.raises(ConfigError, match="uint8 RGB"):
        predictor.set_image(image.astype(float))
    predictor.set_image(image)
    for text in ("the dog<|im_end|>", "the dog <end_of_turn>", "the dog \ud83d"):
        with pytest.raises(ConfigError, match="this expression holds"):
            predictor.segment(["left dog", text])
    with pytest.raises(ConfigError, match="has no words"):
        predictor.segment(["dog", " . "])
    with pytest.raises(CheckpointError, match=r"nothing\.pth"):
        RESPredictor.from_config(Config(dict(model=tiny_config())), str(tmp_path / "nothing.pth"))


def test_auto_dtype_is_that_of_the_predictors_device(tmp_path, monkeypatch):
    from mmseg_mllm.models.backbones import compute_dtype

    config = tiny_config()
    torch.save(MODELS.build(config).state_dict(), tmp_path / "model.pth")
    config["backbone"]["dtype"] = "auto"
    monkeypatch.setattr(compute_dtype, "get_device", lambda: "cuda")
    fast = {"cuda": torch.bfloat16, "cpu": torch.float32}
    monkeypatch.setattr(compute_dtype, "_fast_dtype", fast.__getitem__)
    found = RESPredictor.from_config(Config(dict(model=config)), str(tmp_path / "model.pth"), device="cpu")
    assert found.model.backbone.dtype is torch.float32


TEXTS = ["left dog", "The Cat.", "a small red circle", "zebra", "man in a hat"]


def test_asking_later_in_parts_or_all_at_once_is_the_same(predictor, image):
    predictor.set_image(image)
    together = predictor.segment(TEXTS)
    later = [predictor.segment(text)[0] for text in reversed(TEXTS)][::-1]
    predictor.model.max_expressions = 2
    for one, other, third in zip(together, later, predictor.segment(TEXTS), strict=True):
        np.testing.assert_allclose(one.probability, other.probability, atol=1e-5)
        assert one.score == pytest.approx(other.score, abs=1e-4)
        assert one.expression == other.expression == third.expression
        assert (one.mask != third.mask).sum() <= 1
        assert np.array_equal(one.mask, one.probability >= 0.5)


def test_it_is_what_the_model_predicts(predictor, image):
    """Against the ordinary test step, which keeps nothing."""
    from mmcv.transforms import Compose

    from mmseg_mllm.datasets.transforms import PackReferringInputs, ResizeToInput

    pipeline = Compose([ResizeToInput(size=IMAGE_SIZE), PackReferringInputs()])
    data = pipeline(
        dict(img=image, ori_shape=(20, 50), expressions=[dict(text=t, ann_ids=()) for t in TEXTS])
    )
    sample = predictor.model.test_step(dict(inputs=[data["inputs"]], data_samples=[data["data_samples"]]))[0]
    predictor.set_image(image)
    found = predictor.segment(TEXTS)
    wanted = sample.pred_instances
    np.testing.assert_allclose(
        np.stack([f.probability for f in found]), wanted.probabilities.numpy(), atol=1e-5
    )
    np.testing.assert_allclose([f.score for f in found], wanted.scores.numpy(), atol=1e-4)
    for f, box in zip(found, wanted.bboxes.tolist(), strict=True):
        assert f.box == pytest.approx(tuple(box), abs=1)
        rows, columns = np.nonzero(f.probability > 0.5)
        assert f.box == (columns.min(), rows.min(), columns.max(), rows.max())


def test_several_images_are_held_within_the_bound(predictor, image):
    predictor.set_image(image, name="a")
    first = predictor.segment(TEXTS)
    predictor.set_image(255 - image, name="b")
    assert any((x.mask != y.mask).any() for x, y in zip(first, predictor.segment(TEXTS), strict=True))
    for one, other in zip(first, predictor.segment(TEXTS, name="a"), strict=True):
        assert np.array_equal(one.mask, other.mask)
    assert predictor.images == ("b", "a")

    size = next(iter(predictor._images.values())).nbytes
    small = RESPredictor(model=predictor.model, max_image_bytes=2 * size)
    for name in ("a", "b"):
        small.set_image(image, name=name)
    small.segment("dog", name="a")
    small.set_image(image, name="c")
    assert small.images == ("a", "c")
    with pytest.raises(ConfigError, match=r"no image 'b' is held, only a, c"):
        small.segment("dog", name="b")
    tiny = RESPredictor(model=predictor.model, max_image_bytes=1)
    tiny.set_image(image, name="only")
    assert tiny.images == ("only",)


def test_pictures_count_for_the_bound(predictor):
    """3.84 MB each, beside some kilobytes for the model."""
    small = RESPredictor(model=predictor.model, max_image_bytes=9_000_000)
    for name in "abc":
        small.set_image(np.zeros((800, 1600, 3), np.uint8), name=name)
    assert small.images == ("b", "c")


def test_memory_does_not_grow_with_pixels_times_expressions(predictor):
    """12 megapixels are 48 MB of probabilities and 12 MB of mask for each expression."""
    predictor.set_image(np.zeros((3000, 4000, 3), np.uint8))
    predictor.segment("dog")[0].mask.any()
    with grows_by_less_than(200 * 2**20):
        found = predictor.segment([f"dog {k}" for k in range(32)])
        areas = [(f.area, f.mask.sum(), f.box) for f in found]
    assert all(area == pixels for area, pixels, _ in areas)


def test_several_images_at_once_are_what_they_are_alone(predictor, image):
    images = [image, 255 - image, np.roll(image, 9, axis=0)]
    asked = [TEXTS[:2], [], TEXTS[2:]]
    together = predictor.segment_images(images, asked)
    for one, texts, found in zip(images, asked, together, strict=True):
        predictor.set_image(one)
        for alone, other in zip(predictor.segment(texts), found, strict=True):
            np.testing.assert_allclose(alone.map, other.map, atol=1e-5)
            assert alone.score == pytest.approx(other.score, abs=1e-4)
            assert (alone.expression, alone.exists) == (other.expression, other.exists)
    assert [len(found) for found in predictor.segment_images(images[:1], [[]])] == [0]


def test_threads_may_share_it(predictor, image):
    pictures = {str(i): np.roll(image, 7 * i, axis=1) for i in range(4)}
    alone = {}
    for name, picture in pictures.items():
        predictor.set_image(picture, name=name)
        alone[name] = [f.mask for f in predictor.segment(TEXTS, name=name)]
    shared = RESPredictor(model=predictor.model)

    def ask(name):
        shared.set_image(pictures[name], name=name)
        return name, [f.mask for f in shared.segment(TEXTS, name=name)]

    with ThreadPoolExecutor(4) as pool:
        for name, masks in pool.map(ask, list(pictures) * 3):
            assert all(np.array_equal(m, wanted) for m, wanted in zip(masks, alone[name], strict=True))


@pytest.mark.parametrize("zip_file", [True, False], ids=["zip", "old format"])
def test_adapters_of_a_checkpoint_are_merged(image, tmp_path, zip_file):
    torch.manual_seed(0)
    config = tiny_config(lora=dict(r=4, lora_alpha=8))
    config["data_preprocessor"] = dict(type="ImgDataPreprocessor", mean=[120.0] * 3, std=[60.0] * 3)
    model = MODELS.build(config)
    for name, parameter in model.named_parameters():
        if "lora_B" in name or "tokens_delta" in name:
            parameter.data += 0.3 * torch.randn_like(parameter)
    path = tmp_path / "model.pth"
    torch.save(model.state_dict(), path, _use_new_zipfile_serialization=zip_file)
    found = []
    for predictor in (
        RESPredictor(model=model),
        RESPredictor.from_config(Config(dict(model=config)), str(path), device="cpu"),
    ):
        predictor.set_image(image)
        found.append(predictor.segment(TEXTS))
    assert not any("lora" in name for name in predictor.model.state_dict())
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one.probability, other.probability, atol=1e-5)
        assert one.score == pytest.approx(other.score, abs=1e-4)
