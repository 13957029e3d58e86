"""An ordinary backbone's map beside the vision tower's."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from helpers.tiny_model import IMAGE_SIZE, make_samples, tiny_config
from mmengine.config import Config
from mmseg.registry import MODELS

from mmseg_mllm.apis import RESPredictor
from mmseg_mllm.errors import ConfigError

RESNET = dict(
    type="ResNet",
    depth=18,
    stem_channels=8,
    base_channels=8,
    num_stages=1,
    strides=(1,),
    dilations=(1,),
    out_indices=(0,),
)
EXPRESSIONS = [["red circle on the left", "the dog"], ["zebra"]]


def config(*, detail_backbone=RESNET, detail_index=-1, **backbone):
    return dict(tiny_config(**backbone), detail_backbone=detail_backbone, detail_index=detail_index)


def build(**kwargs):
    torch.manual_seed(0)
    return MODELS.build(config(**kwargs)).eval()


def test_sizes_follow_from_the_backbone():
    """Stride 4 beside patches of 8: a finer map, masks at input size, DySample twice."""
    segmentor = build()
    head = segmentor.decode_head
    assert head.in_channels == [24 + 8, 32]
    assert head.mask_scale == segmentor.detail_backbone.stride == 4
    with torch.device("meta"):
        on_meta = MODELS.build(config())
    assert {p.device.type for p in on_meta.parameters()} == {"meta"}
    shapes = [{n: t.shape for n, t in model.state_dict().items()} for model in (segmentor, on_meta)]
    assert shapes[0] == shapes[1]


def test_the_vision_map_is_resized_and_comes_first(images):
    segmentor = build()
    detail = segmentor.see(images).detail
    assert detail.shape == (2, 32, IMAGE_SIZE // 4, IMAGE_SIZE // 4)
    vision = segmentor.backbone.see(images).detail
    resized = F.interpolate(vision, scale_factor=2, mode="bilinear", align_corners=False)
    torch.testing.assert_close(detail[:, :24], resized)
    torch.testing.assert_close(detail[:, 24:], segmentor.detail_backbone.backbone(images)[0])


def test_maps_of_a_rectangle():
    segmentor = build(image_size=(32, 48))
    assert segmentor.detail_backbone.stride == 4
    assert segmentor.see(torch.zeros(1, 3, 32, 48)).detail.shape == (1, 32, 8, 12)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_loss_trains_it(images, dtype):
    segmentor = build(dtype=dtype).train()
    losses = segmentor(images, make_samples(EXPRESSIONS), mode="loss")
    sum(losses.values()).backward()
    gradients = [param.grad for param in segmentor.detail_backbone.parameters()]
    assert all(torch.isfinite(gradient).all() and gradient.dtype == torch.float32 for gradient in gradients)
    assert any(gradient.any() for gradient in gradients)


def test_prediction_in_one_pass_and_in_parts(images):
    segmentor = build()
    logits = segmentor(images, make_samples(EXPRESSIONS), mode="tensor")
    assert logits.shape == (3, 1, IMAGE_SIZE, IMAGE_SIZE)
    whole = segmentor(images, make_samples(EXPRESSIONS), mode="predict")
    segmentor.max_expressions = 1
    parts = segmentor(images, make_samples(EXPRESSIONS), mode="predict")
    for one, other in zip(whole, parts, strict=True):
        torch.testing.assert_close(one.pred_instances.probabilities, other.pred_instances.probabilities)


def test_predictor_sees_the_image_once(tmp_path):
    path = str(tmp_path / "weights.pth")
    torch.save(dict(state_dict=build().state_dict()), path)
    model = dict(
        config(), data_preprocessor=dict(type="ImgDataPreprocessor", mean=[120.0] * 3, std=[60.0] * 3)
    )
    predictor = RESPredictor.from_config(Config(dict(model=model)), path, device="cpu")
    calls = []
    predictor.model.detail_backbone.register_forward_hook(lambda *_: calls.append(1))
    image = np.random.default_rng(0).integers(0, 255, (20, 50, 3), dtype=np.uint8)
    predictor.set_image(image)
    together = predictor.segment(["dog", "zebra"])
    for found in together:
        alone = predictor.segment(found.expression)[0]
        np.testing.assert_allclose(alone.probability, found.probability, atol=1e-5)
        assert found.mask.shape == (20, 50)
    assert len(calls) == 1


def test_pretrained_weights_come_by_init_cfg(tmp_path):
    path = str(tmp_path / "resnet.pth")
    torch.manual_seed(1)
    torch.save(MODELS.build(RESNET).state_dict(), path)
    segmentor = build(detail_backbone=dict(RESNET, init_cfg=dict(type="Pretrained", checkpoint=path)))
    segmentor.init_weights()
    weights = torch.load(path, weights_only=True)
    torch.testing.assert_close(dict(segmentor.detail_backbone.backbone.state_dict()), dict(weights))


def test_output_that_does_not_exist():
    with pytest.raises(ConfigError, match=r"detail_index=2.*gives 1 of its maps"):
        build(detail_index=2)
