import pytest
import torch
from helpers.tiny_model import IMAGE_SIZE, make_samples, tiny_config
from mmengine.runner import set_random_seed
from mmseg.registry import MODELS
from torch import nn

from mmseg_mllm.apis import RESPredictor
from mmseg_mllm.errors import ConfigError
from mmseg_mllm.models.backbones.quantization import BYTES, check_quantization, llm_linears
from mmseg_mllm.toy.expressions import refcoco_expressions
from mmseg_mllm.toy.render import render_scene
from mmseg_mllm.toy.scene import sample_scene
from mmseg_mllm.toy.vocabulary import scene_rng

LORA = dict(r=4, lora_alpha=8, lora_dropout=0.0)
EXPRESSIONS = [["red box", "the left one"], ["a cup"]]


@pytest.fixture
def build():
    pytest.importorskip("bitsandbytes")

    def build(kind: str | None):
        torch.manual_seed(0)
        config = tiny_config(lora=LORA, trainable=["llm_norm"], quantization=kind)
        # Weights that share a scale lie in one row.
        config["backbone"]["arch"]["text_config"].update(hidden_size=64, intermediate_size=128)
        return MODELS.build(config)

    return build


@pytest.mark.parametrize("kind", BYTES)
def test_only_the_llm_s_linears_are_quantised(build, kind):
    backbone = build(kind).backbone
    small = [name for name, p in backbone.named_parameters() if not p.is_floating_point()]
    # Two layers of four linears of attention and three of the MLP.
    assert len(small) == 14
    assert all(name.startswith("model.model.language_model.layers") for name in small)
    for name, linear in llm_linears(build(None).backbone.text_model):
        found = backbone.text_model.get_submodule(name)
        assert found.weight.nbytes == pytest.approx(linear.weight.numel() * dict(nf4=0.5, int8=1)[kind])


@pytest.mark.parametrize("kind", BYTES)
def test_training_moves_what_is_trained_alone(build, kind):
    segmentor, plain = build(kind), build(None)
    trained = {name for name, p in segmentor.named_parameters() if p.requires_grad}
    assert trained == {name for name, p in plain.named_parameters() if p.requires_grad}
    before = {name: p.detach().clone() for name, p in segmentor.named_parameters()}
    optimizer = torch.optim.AdamW([p for p in segmentor.parameters() if p.requires_grad], lr=1e-2)
    torch.manual_seed(1)
    inputs, samples = torch.randn(2, 3, IMAGE_SIZE, IMAGE_SIZE), make_samples(EXPRESSIONS)
    losses = []
    for _ in range(8):
        loss = sum(segmentor.train().loss(inputs, samples).values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]
    moved = {name for name, p in segmentor.named_parameters() if not torch.equal(p, before[name])}
    assert moved <= trained
    # Keys' biases and the like may get no gradient; LoRA in each layer does.
    assert sum("lora_B" in name for name in moved) == 14


@pytest.mark.parametrize("kind", BYTES)
def test_training_goes_on_after_an_evaluation(build, kind):
    """On CPUs too where bitsandbytes has another kernel for evaluation, which needs another layout."""
    segmentor = build(kind)
    inputs, samples = torch.randn(2, 3, IMAGE_SIZE, IMAGE_SIZE), make_samples(EXPRESSIONS)
    state = {name: tensor.clone() for name, tensor in segmentor.state_dict().items()}

    def gradients() -> dict:
        segmentor.train().zero_grad()
        set_random_seed(1)
        sum(segmentor.loss(inputs, samples).values()).backward()
        return {name: p.grad.clone() for name, p in segmentor.named_parameters() if p.grad is not None}

    before = gradients()
    with torch.no_grad():
        segmentor.eval().encode_decode(inputs, samples)
    torch.testing.assert_close(gradients(), before, rtol=0, atol=0)
    frozen = [name for name in state if "base_layer.weight" in name]
    assert frozen
    assert all(torch.equal(segmentor.state_dict()[name], state[name]) for name in frozen)


@pytest.mark.parametrize("kind", BYTES)
def test_merging_keeps_lora_beside_quantised_weights(build, kind):
    segmentor = build(kind).eval()
    for name, p in segmentor.named_parameters():
        if "lora_B" in name:
            nn.init.normal_(p, std=0.1)
    inputs, samples = torch.randn(2, 3, IMAGE_SIZE, IMAGE_SIZE), make_samples(EXPRESSIONS)
    with torch.no_grad():
        before = segmentor.encode_decode(inputs, samples)
        segmentor.backbone.merge_adapters()
        torch.testing.assert_close(segmentor.encode_decode(inputs, samples), before)


@pytest.mark.parametrize(("kind", "agree"), [("nf4", 0.9), ("int8", 0.98)])
def test_masks_and_verdicts_of_the_packaged_model(kind, agree, tmp_path):
    pytest.importorskip("bitsandbytes")
    plain = RESPredictor.from_pretrained("tiny", device="cpu", dtype="float32")
    small = RESPredictor.from_pretrained("tiny", device="cpu", dtype="float32", quantization=kind)
    both = either = 0
    for index in range(3):
        origin = dict(seed=77, split="val", index=index)
        scene = sample_scene(**origin)
        picture = render_scene(scene=scene, rng=scene_rng(**origin, stream="picture"))
        expressions = refcoco_expressions(scene=scene, rng=scene_rng(**origin, stream="refs"))
        texts = [sentence.text for e in expressions for sentence in e.sentences]
        for predictor in (plain, small):
            predictor.set_image(picture)
        for a, b in zip(plain.segment(texts), small.segment(texts), strict=True):
            both, either = both + (a.mask & b.mask).sum(), either + (a.mask | b.mask).sum()
            assert (a.score < 0) == (b.score < 0)
    assert agree < both / either < 1
    with pytest.raises(ConfigError, match="quantised"):
        small.save_pretrained(tmp_path / "folder")


def test_refusals(monkeypatch):
    with pytest.raises(ConfigError, match="choose nf4, int8 or None"):
        check_quantization("int3")
    monkeypatch.setitem(__import__("sys").modules, "bitsandbytes", None)
    with pytest.raises(ConfigError, match=r"mmseg_mllm\[quantization\]"):
        check_quantization("nf4")
