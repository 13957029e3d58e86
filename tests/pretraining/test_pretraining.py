"""Pretraining with text: what is right, what is trained by which optimiser, how it starts."""

import numpy as np
import pytest
import torch
from helpers.tiny_model import tiny_config
from mmengine.dataset import pseudo_collate
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from transformers import AutoModelForImageTextToText, AutoTokenizer

from mmseg_mllm.conversion.save import save_base, start_answer_tokens
from mmseg_mllm.engine.optimizer import MuonConstructor
from mmseg_mllm.pretraining.dataset import ToyChatDataset
from mmseg_mllm.pretraining.language_start import start_by_likeness
from mmseg_mllm.pretraining.metric import AnswerMetric
from mmseg_mllm.pretraining.square_losses import SquareLosses
from mmseg_mllm.pretraining.standardise import standardise
from mmseg_mllm.pretraining.vision_start import start_like_convolutions


@pytest.fixture(scope="module")
def model():
    init_default_scope("mmseg")
    torch.manual_seed(0)
    backbone = tiny_config(trainable=["vision", "projector", "llm", "lm_head"])["backbone"]
    # One image token for each of the 6 x 6 squares, and heads as wide as the start needs.
    backbone["arch"]["vision_config"] |= dict(
        image_size=96, hidden_size=64, num_attention_heads=2, intermediate_size=32, initializer_range=0.1
    )
    preprocessor = dict(type="ImgDataPreprocessor", mean=[120.0] * 3, std=[60.0] * 3)
    return MODELS.build(dict(type="MLLMChat", backbone=backbone, data_preprocessor=preprocessor))


@pytest.fixture(scope="module")
def batch():
    dataset = ToyChatDataset(length=4, image_size=96, seed=1)
    return pseudo_collate([dataset[0], dataset[1]])


@torch.no_grad()
def test_first_heads_start_by_looking_at_neighbours(model):
    tower = model.backbone.model.model.vision_tower
    start_like_convolutions(tower)
    hidden = tower.embeddings(torch.randn(1, 3, 96, 96))
    layer = tower.encoder.layer[0]
    normed = layer.layernorm_before(hidden)
    heads = layer.attention.num_heads
    q, k = (
        p(normed).unflatten(2, (heads, -1))[0].transpose(0, 1)
        for p in (layer.attention.q_proj, layer.attention.k_proj)
    )
    seen = (q @ k.transpose(1, 2))[:, 1:, 1:].argmax(dim=2)
    inner = torch.arange(144).view(12, 12)[1:-1, 1:-1].flatten()
    for head, step in enumerate((1, -1)):
        assert (seen[head, inner] == inner + step).float().mean() > 0.7


@torch.no_grad()
def test_a_word_starts_by_looking_at_itself_and_ends_as_itself(model):
    mllm, tokenizer = model.backbone.model, model.backbone.tokenizer.tokenizer
    start_by_likeness(mllm, tokenizer)
    ids = torch.tensor(tokenizer.convert_tokens_to_ids(["red", "Ġblue", "Ġred", "Ġcircle"]))
    words = mllm.get_input_embeddings()(ids)
    attention = mllm.model.language_model.layers[0].self_attn
    assert torch.equal(words[0], words[2])
    queries = (attention.q_proj(words) - attention.q_proj.bias).unflatten(1, (4, -1))
    keys = (attention.k_proj(words) - attention.k_proj.bias).unflatten(1, (2, -1))
    likeness = torch.einsum("ihd,jhd->hij", queries, keys.repeat_interleave(2, dim=1))
    assert (likeness[:, 0].argmax(dim=1) % 2 == 0).all()
    assert (likeness[:, 3].argmax(dim=1) == 3).all()
    assert mllm.lm_head(words[1]).argmax() in tokenizer.convert_tokens_to_ids(["blue", "Ġblue"])


def test_the_same_sample_every_time(batch):
    again = ToyChatDataset(length=2, image_size=96, seed=1)[1]
    assert torch.equal(again["inputs"], batch["inputs"][1])
    assert again["data_samples"].turns == batch["data_samples"][1].turns


def test_grey_scenes_train_shapes_and_no_colours(model):
    plain, grey = (
        pseudo_collate([ToyChatDataset(length=1, image_size=96, seed=2, grey=share)[0]]) for share in (0, 1)
    )
    assert (grey["inputs"][0] == grey["inputs"][0][:1]).all()
    (before,), (after,) = plain["data_samples"], grey["data_samples"]
    np.testing.assert_array_equal(after.words[:, 1:], before.words[:, 1:])
    losses = SquareLosses(width=16, tokenizer=model.backbone.tokenizer.tokenizer)
    embeddings = torch.randn(2000, 16, requires_grad=True)
    total = losses(torch.randn(1, 36, 16), embeddings, [after])["words"]
    (moved,) = torch.autograd.grad(total, embeddings)
    colours, shapes, _ = losses.word_ids
    assert not moved[colours].any()
    assert moved[shapes].any(dim=1).all()


@torch.no_grad()
def test_an_answer_is_right_where_the_model_would_write_it(model, batch):
    model.eval()
    data = model.data_preprocessor(batch)
    samples = model(**data, mode="predict")
    questions = [[turn[0] for turn in sample.turns] for sample in samples]
    style = model.prompt
    prefix, asked = model.backbone.questions(
        style.system,
        questions,
        image_size=96,
    )
    # A random model says one thing to everything: let the truth be what it writes, for some questions.
    written = model.backbone.generate(
        model.backbone.see(data["inputs"]),
        [[prefix + question for question in image] for image in asked],
        image_size=96,
        max_new_tokens=[[6] * len(image) for image in asked],
    )
    tokenizer = model.backbone.tokenizer.tokenizer
    for sample, image in zip(samples, written, strict=True):
        texts = [tokenizer.decode(ids).removesuffix("<|im_end|>") for ids in image]
        ends = [ids[-1] == model.backbone.tokenizer.turn_end_id for ids in image]
        truth = [
            (question, text if n % 2 else "large red circle")
            for n, ((question, _), text) in enumerate(zip(sample.turns, texts, strict=True))
        ]
        sample.set_metainfo(dict(turns=truth, ended=ends))
    for sample in model(**data, mode="predict"):
        for n, (right, ended) in enumerate(zip(sample.right, sample.ended, strict=True)):
            assert right == (n % 2 == 1 and ended) or (n % 2 and not ended)


@pytest.mark.parametrize(
    ("with_text", "expected", "idle"),
    [
        (True, {"text", "pointing", "words", "boxes"}, ("pixels.",)),
        (
            False,
            {"pixels", "words", "boxes"},
            ("language_model.layers", "model.norm", "lm_head", "asked", "seen"),
        ),
    ],
)
def test_both_optimisers_move_all_that_is_trained(model, batch, with_text, expected, idle):
    model.train()
    model.with_text = with_text
    optimizer = dict(muon=dict(lr=1e-3), adamw=dict(lr=1e-3, weight_decay=0.0))
    wrapper = MuonConstructor(dict(optimizer=optimizer))(model)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    losses = model.train_step(batch, wrapper)
    assert losses.keys() == {"loss"} | expected
    still = {name for name, p in model.named_parameters() if torch.equal(p, before[name])}
    # Softmax doesn't feel the keys' bias.
    assert {name for name in still if not any(part in name for part in (*idle, "k_proj.bias"))} == set()
    assert not any(part in name for part in idle for name in before.keys() - still)
    assert {p.ndim for p in wrapper.param_groups[0]["params"]} == {2}


@torch.no_grad()
def test_the_end_of_a_question_points_at_the_square_of_its_answer(model, batch):
    model.eval()
    model.with_text = True
    for layer in (model.asked, model.seen):
        torch.nn.init.eye_(layer.weight)
        layer.bias.zero_()
    data = model.data_preprocessor(batch)
    loss = model(**data, mode="loss")["pointing"]
    # The same, one question at a time.
    losses = []
    vision = model.backbone.see(data["inputs"])
    for b, sample in enumerate(data["data_samples"]):
        for (question, answer), square in zip(sample.turns, sample.squares, strict=True):
            if square < 0:
                continue
            assert answer.startswith("abcdef"[square % 6] + str(square // 6 + 1) + " ")
            turns = [[(question, "x")] if i == b else [] for i in range(2)]
            layout = model.backbone.layout(model.prompt.system, turns, image_size=96, supervised=True)
            hidden = model.backbone.hidden_states(vision, layout)
            end = hidden[layout.answer_reads[0]]
            logits = hidden[layout.image_positions[b]] @ end / len(end) ** 0.5
            losses.append(torch.nn.functional.cross_entropy(logits, torch.tensor(square)))
    assert len(losses) > 10
    assert loss.item() == pytest.approx(torch.stack(losses).mean().item(), rel=1e-4)


@torch.no_grad()
def test_standard_features_give_nearly_the_same_image_tokens():
    torch.manual_seed(0)
    model = MODELS.build(tiny_config()["backbone"] | dict(trainable=[]))
    core = model.model.model
    core.vision_tower.layernorm = torch.nn.LayerNorm(model.out_channels[0])
    torch.nn.init.normal_(core.vision_tower.layernorm.bias, std=3.0)  # what features have in common
    images = torch.randn(6, 3, model.image_size, model.image_size)
    before = model.see(images)
    standardise(core, before.detail.transpose(0, 1).flatten(1))
    after = model.see(images)
    channels = after.detail.transpose(0, 1).flatten(1)
    assert channels.mean(dim=1).abs().max() < 1e-5
    assert (channels.std(dim=1) - 1).abs().max() < 1e-5
    error = (after.image_tokens - before.image_tokens).square().mean()
    assert error < 0.1 * before.image_tokens.var()


def test_shares_of_right_answers():
    metric = AnswerMetric()
    metric.process(None, [dict(kinds=["box", "box", "count"], right=[True, False, True])])
    metric.process(None, [dict(kinds=["box"], right=[False])])
    assert metric.evaluate(2) == {
        "answers/box": pytest.approx(100 / 3),
        "answers/count": 100.0,
        "answers/all": 50.0,
    }


@torch.no_grad()
def test_what_is_exported_is_a_native_folder_whose_answer_tokens_are_like_new_ones(model, tmp_path):
    start_answer_tokens(model.backbone)
    save_base(model.backbone, tmp_path, dtype=torch.float16)
    loaded = AutoModelForImageTextToText.from_pretrained(tmp_path, dtype=torch.float32)
    for name, tensor in model.backbone.model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor.half().float()), name
    rows = list(AutoTokenizer.from_pretrained(tmp_path).convert_tokens_to_ids(["[SEG]", "[REJ]"]))
    head = model.backbone.model.lm_head.weight
    others = head[[row for row in range(len(head)) if row not in rows]]
    assert torch.allclose(head[rows], others.mean(dim=0).expand(2, -1), atol=1e-6)
