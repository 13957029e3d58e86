import pytest
import torch
from helpers.tiny_model import make_samples
from peft.tuners.tuners_utils import BaseTunerLayer

EXPRESSIONS = [["the dog", "red circle"], ["zebra"]]
LORA = dict(r=4, lora_alpha=6, lora_dropout=0.0)


@pytest.fixture
def trained(build_segmentor):
    """A model whose adapters and token rows are no longer what they began as."""

    def build(**backbone):
        segmentor = build_segmentor(lora=LORA, **backbone)
        torch.manual_seed(1)
        with torch.no_grad():
            for name, parameter in segmentor.named_parameters():
                if "lora_B" in name or "tokens_delta" in name:
                    parameter.add_(0.3 * torch.randn_like(parameter))
        return segmentor

    return build


def predict(segmentor, images):
    samples = segmentor(images, make_samples(EXPRESSIONS), mode="predict")
    return [(s.pred_instances.probabilities, s.pred_instances.scores) for s in samples]


@torch.no_grad()
def test_a_merged_model_answers_as_before(build_segmentor, trained, images):
    segmentor = trained()
    before = predict(segmentor, images)
    untrained = predict(build_segmentor(), images)
    assert (before[0][1] - untrained[0][1]).abs().max() > 0.1
    segmentor.backbone.merge_adapters()
    assert not any(isinstance(module, BaseTunerLayer) for module in segmentor.modules())
    assert segmentor.state_dict().keys() == build_segmentor().state_dict().keys()
    torch.testing.assert_close(predict(segmentor, images), before, atol=1e-5, rtol=1e-5)
    segmentor.backbone.merge_adapters()  # nothing is left to merge
    torch.testing.assert_close(predict(segmentor, images), before, atol=1e-5, rtol=1e-5)


def test_bfloat16_weights_are_rounded_once(trained):
    backbone = trained(dtype="bfloat16").backbone
    state = {name: tensor.clone() for name, tensor in backbone.state_dict().items()}
    backbone.merge_adapters()
    name = "model.model.language_model.layers.1.mlp.down_proj"
    a, b = (state[f"{name}.lora_{part}.default.weight"] for part in "AB")
    wanted = (state[f"{name}.base_layer.weight"].float() + 6 / 4 * (b @ a)).bfloat16()
    assert torch.equal(backbone.model.get_submodule(name.removeprefix("model.")).weight, wanted)
    rows = state["model.lm_head.token_adapter.trainable_tokens_delta.default"].bfloat16()
    assert torch.equal(backbone.model.lm_head.weight[list(backbone.answer_token_ids)], rows)


@pytest.mark.parametrize("adapted", [True, False])
@torch.no_grad()
def test_scores_are_differences_of_the_whole_lm_heads_logits(trained, build_segmentor, adapted):
    backbone = (trained() if adapted else build_segmentor()).backbone
    queries = torch.randn(5, 32)
    logits = backbone.model.lm_head(queries)
    seg, rej = backbone.answer_token_ids
    torch.testing.assert_close(backbone.target_scores(queries), logits[:, seg] - logits[:, rej])


def test_the_whole_lm_head_is_read_for_answers_and_for_paper_alone(build_segmentor, images):
    rows = {}
    for protocol in ("independent", "joint", "paper"):
        segmentor = build_segmentor(protocol=protocol)
        read = rows[protocol] = []
        segmentor.backbone.model.lm_head.register_forward_hook(
            lambda module, inputs, out, read=read: read.append(len(out))
        )
        segmentor(images, make_samples(EXPRESSIONS), mode="predict")
        segmentor(images, make_samples(EXPRESSIONS), mode="tensor")
    assert rows == dict(independent=[], joint=[], paper=[3])
    segmentor = build_segmentor()
    layouts, read = [], []
    make_layout = segmentor.backbone.layout
    segmentor.backbone.layout = lambda *args, **kwargs: (
        layouts.append(make_layout(*args, **kwargs)) or layouts[-1]
    )
    segmentor.backbone.model.lm_head.register_forward_hook(lambda module, inputs, out: read.append(len(out)))
    segmentor(images, make_samples(EXPRESSIONS), mode="loss")
    assert read == [len(layouts[0].answer_ids)]
