"""Protocols 'paper' and 'generate' against the whole HuggingFace model run in the plain way."""

import pytest
import torch
import torch.nn.functional as F
from helpers.tiny_model import make_samples
from mmengine.structures import InstanceData

from mmseg_mllm.prompts import SPECIAL_TOKENS, prompt_style

EXPRESSIONS = [["Red circle.", "the dog", "a blue star"], ["zebra", "man in a hat"]]
HAS_TARGET = [[True, False, True], [False, False]]


def conversation(segmentor, style, *expressions, **kwargs):
    """The whole text of a question and its answer."""
    chat = segmentor.backbone.family.chat
    return "".join([chat.prefix(style.system), *chat.branch(*style.branch(*expressions, **kwargs))])


def token_ids(segmentor, text):
    """Ids of a whole conversation, with one <IMG_CONTEXT> for each of the 4 image tokens."""
    tokenizer = segmentor.backbone.tokenizer.tokenizer
    text = text.replace("<IMG_CONTEXT>", "<IMG_CONTEXT>" * 4)
    return torch.tensor([tokenizer(text, add_special_tokens=False).input_ids])


@torch.no_grad()
def plain_forward(segmentor, image, ids):
    """(hidden states (L, C), logits (L, V)) of an ordinary causal forward."""
    backbone = segmentor.backbone
    for config in (backbone.model.config, backbone.model.model.config):
        config.image_token_id = backbone.tokenizer.image_id
    out = backbone.model.model(input_ids=ids, pixel_values=image)
    return out.last_hidden_state[0], backbone.model.lm_head(out.last_hidden_state[0])


def plain_mask(segmentor, image, hidden, ids, slot, size):
    """Mask of the slot at position ``slot``, hidden states read one before."""
    backbone = segmentor.backbone
    at_image = (ids[0] == backbone.tokenizer.image_id).nonzero()[:, 0]
    semantic = hidden[at_image - 1].T.unflatten(1, (2, 2))[None]
    detail = backbone.model.get_image_features(pixel_values=image).last_hidden_state[:, 1:]
    detail = detail.mT.unflatten(2, (4, 4))
    head = segmentor.decode_head
    logits = head.decode(head.encode(detail, semantic), hidden[slot - 1][None], torch.tensor([0]))
    return F.interpolate(logits.sigmoid(), size, mode="bilinear")[0, 0] >= 0.5


def favour(segmentor, token, amount):
    """Make the LM head say ``token`` more or less often."""
    weight = segmentor.backbone.model.lm_head.weight
    with torch.no_grad():
        weight[segmentor.backbone.tokenizer.tokenizer.convert_tokens_to_ids(token)] *= amount


@torch.no_grad()
def test_paper_is_two_plain_runs(build_segmentor, images):
    """Verdicts with the ground truth in the answers, masks of a run in which all answers are [SEG]."""
    segmentor = build_segmentor(protocol="paper")
    favour(segmentor, "[REJ]", 6.0)
    style = prompt_style("mllmseg")
    samples = segmentor(images, make_samples(EXPRESSIONS, has_target=HAS_TARGET), mode="predict")
    verdicts = []
    for b, sample in enumerate(samples):
        runs = []
        for targets in (HAS_TARGET[b], [True] * len(EXPRESSIONS[b])):
            ids = token_ids(segmentor, conversation(segmentor, style, EXPRESSIONS[b], has_target=targets))
            seg, rej = segmentor.backbone.answer_token_ids
            runs.append((ids, ((ids[0] == seg) | (ids[0] == rej)).nonzero()[:, 0]))
        (ids, slots), (ids_again, slots_again) = runs
        _, logits = plain_forward(segmentor, images[b : b + 1], ids)
        hidden, _ = plain_forward(segmentor, images[b : b + 1], ids_again)
        wanted = logits[slots - 1].argmax(1) == rej
        assert torch.equal(sample.pred_instances.rejected, wanted)
        verdicts += wanted.tolist()
        difference = logits[slots - 1][:, seg] - logits[slots - 1][:, rej]
        torch.testing.assert_close(sample.pred_instances.scores, difference, atol=1e-4, rtol=0)
        for k, slot in enumerate(slots_again):
            mask = plain_mask(segmentor, images[b : b + 1], hidden, ids_again, slot, sample.ori_shape)
            assert (sample.pred_instances.masks[k] != mask).sum() <= 1
        assert sample.protocol == "paper (joint, forced)"
    assert 0 < sum(verdicts) < len(verdicts)


@torch.no_grad()
def test_paper_judges_by_the_run_that_holds_the_ground_truth(build_segmentor, images):
    """With a direction for [REJ] that tells both runs apart at the last expression."""
    segmentor = build_segmentor(protocol="paper")
    seg, rej = segmentor.backbone.answer_token_ids
    style, hidden = prompt_style("mllmseg"), []
    for targets in (HAS_TARGET[0], [True] * 3):
        ids = token_ids(segmentor, conversation(segmentor, style, EXPRESSIONS[0], has_target=targets))
        last = ((ids[0] == seg) | (ids[0] == rej)).nonzero()[-1, 0]
        hidden.append(plain_forward(segmentor, images[:1], ids)[0][last - 1])
    apart = hidden[0] - hidden[1]
    segmentor.backbone.model.lm_head.weight[rej] = 1000 * apart / apart.square().sum()
    found = [
        segmentor(images[:1], make_samples(EXPRESSIONS[:1], has_target=targets), mode="predict")[0]
        for targets in (HAS_TARGET[:1], [[True] * 3])
    ]
    assert [sample.pred_instances.rejected[2].item() for sample in found] == [True, False]


def test_paper_without_ground_truth_answers_seg(build_segmentor, images):
    segmentor = build_segmentor(protocol="paper")
    unknown = make_samples(EXPRESSIONS, has_target=HAS_TARGET)
    for sample in unknown:
        del sample.gt_instances
    all_targets = make_samples(EXPRESSIONS)
    for one, other in zip(
        segmentor(images, unknown, mode="predict"),
        segmentor(images, all_targets, mode="predict"),
        strict=True,
    ):
        torch.testing.assert_close(one.pred_instances.scores, other.pred_instances.scores)


def test_paper_asks_with_its_own_prompt(build_segmentor, images):
    segmentor = build_segmentor(protocol="paper")
    own = segmentor(images, make_samples(EXPRESSIONS), mode="tensor")
    segmentor.prompt = prompt_style("short")
    torch.testing.assert_close(segmentor(images, make_samples(EXPRESSIONS), mode="tensor"), own)


@pytest.fixture
def talkative(build_segmentor):
    """A model whose generated answers vary: some hold [SEG], some [REJ], some neither."""
    segmentor = build_segmentor(protocol="generate")
    segmentor.prompt = prompt_style("short")
    favour(segmentor, "[SEG]", 2.0)
    favour(segmentor, "[REJ]", 2.0)
    return segmentor


@torch.no_grad()
def plain_answer(segmentor, image, text, limit):
    """Greedy decoding, the whole sequence again for each token; ids up to [SEG], [REJ] or the turn's end."""
    ids = token_ids(segmentor, text)
    start = ids.shape[1]
    backbone = segmentor.backbone
    for _ in range(limit):
        token = plain_forward(segmentor, image, ids)[1][-1].argmax()
        ids = torch.cat([ids, token[None, None]], dim=1)
        if token.item() in (*backbone.answer_token_ids, backbone.tokenizer.turn_end_id):
            break
    return ids[:, :start], ids[0, start:].tolist()


@torch.no_grad()
def test_generate_reads_what_the_model_writes(talkative, images, monkeypatch):
    monkeypatch.setattr("mmseg_mllm.models.segmentors.mllm_segmentor.MAX_NEW_TOKENS", 12)
    texts = [["dog", "a large red circle", "zebra", "left man", "cat", "blue"], ["top", "small hat", "bus"]]
    samples = talkative(images, make_samples(texts), mode="predict")
    seg, rej = talkative.backbone.answer_token_ids
    questions = [[talkative.prompt.branch([text])[0] for text in image] for image in texts]
    chat, system = talkative.backbone.family.chat, talkative.prompt.system
    _, asked_ids = talkative.backbone.questions(system, questions, image_size=images.shape[-1])
    ends = set()
    for b, sample in enumerate(samples):
        image = images[b : b + 1]
        for k, text in enumerate(texts[b]):
            asked = chat.prefix(system) + chat.branch(*talkative.prompt.branch([text]))[0]
            ids, answer = plain_answer(talkative, image, asked, limit=12 + len(asked_ids[b][k]))
            ends.add(answer[-1] if answer[-1] in (seg, rej) else None)
            assert sample.pred_instances.rejected[k].item() == (answer[-1] != seg)
            mask = sample.pred_instances.masks[k]
            if answer[-1] != seg:
                assert not mask.any()
                continue
            whole = torch.cat([ids, torch.tensor([answer])], dim=1)
            hidden, _ = plain_forward(talkative, image, whole)
            wanted = plain_mask(talkative, image, hidden, whole, whole.shape[1] - 1, sample.ori_shape)
            assert (mask != wanted).sum() <= 1
        assert sample.protocol == "generate (independent, generated)"
    assert ends == {seg, rej, None}


@torch.no_grad()
def test_a_long_expression_is_repeated_to_its_end(build_segmentor, images, monkeypatch):
    """A model that says what was asked before its [SEG] is not cut off, however long that is."""
    segmentor = build_segmentor(protocol="generate")
    backbone = segmentor.backbone
    text = " ".join(["a large red circle"] * 50)
    said = backbone.tokenizer.tokenizer(f"Sure, the mask of {text} is [SEG]").input_ids

    def generate(vision, questions, *, image_size, max_new_tokens):
        return [[said[:limit] for limit in image] for image in max_new_tokens]

    monkeypatch.setattr(backbone, "generate", generate)
    samples = segmentor(images, make_samples([["dog"], [text]]), mode="predict")
    assert len(said) > 128
    assert not samples[1].pred_instances.rejected.any()


@torch.no_grad()
def test_generate_takes_images_without_expressions(talkative, images):
    texts = ["dog", "a large red circle"]
    batch = torch.cat([images, images[:1]])
    (only,) = talkative(images[:1], make_samples([[], [], texts])[2:], mode="predict")
    first, second, third = talkative(batch, make_samples([[], [], texts]), mode="predict")
    for empty in (first, second):
        assert empty.pred_instances.masks.shape == (0, *empty.ori_shape)
        assert empty.pred_instances.rejected.dtype is torch.bool
    assert torch.equal(third.pred_instances.rejected, only.pred_instances.rejected)
    torch.testing.assert_close(third.pred_instances.probabilities, only.pred_instances.probabilities)
    (nothing,) = talkative(images[:1], make_samples([[]]), mode="predict")
    assert nothing.pred_instances.rejected.dtype is torch.bool


@torch.no_grad()
def test_an_answer_is_as_long_as_its_own_bound_allows(talkative, images):
    """Whatever else is asked of the image at the same time."""
    backbone, texts = talkative.backbone, ["dog", "a large red circle", "cat"]
    favour(talkative, "[SEG]", 0.0)
    favour(talkative, "[REJ]", 0.0)
    questions = [[talkative.prompt.branch([text])[0] for text in texts]]
    prefix, asked = backbone.questions(talkative.prompt.system, questions, image_size=images.shape[-1])
    asked = [[prefix + ids for ids in image] for image in asked]
    vision = talkative.see(images[:1])
    (together,) = backbone.generate(vision, asked, image_size=32, max_new_tokens=[[2, 9, 5]])
    assert [len(ids) for ids in together] == [2, 9, 5]
    for ids, answer, limit in zip(asked[0], together, (2, 9, 5), strict=True):
        alone = backbone.generate(vision, [[ids]], image_size=32, max_new_tokens=[[limit]])
        assert alone == [[answer]]


def test_generate_trains_as_independent(build_segmentor, images, monkeypatch):
    monkeypatch.setattr("random.choice", lambda options: options[0])
    losses = [
        build_segmentor(protocol=name)(images, make_samples(EXPRESSIONS), mode="loss")
        for name in ("generate", "independent")
    ]
    torch.testing.assert_close(*losses)


def test_special_tokens_are_one_id_each(build_segmentor):
    tokenizer = build_segmentor().backbone.tokenizer.tokenizer
    assert all(len(tokenizer(token).input_ids) == 1 for token in SPECIAL_TOKENS)


def test_boxes_are_around_the_probabilities_above_a_half(build_segmentor, images):
    sample = build_segmentor()(images[:1], make_samples([["dog"]]), mode="predict")[0]
    assert isinstance(sample.pred_instances, InstanceData)
    rows, columns = sample.pred_instances.masks[0].nonzero(as_tuple=True)
    wanted = [columns.min(), rows.min(), columns.max(), rows.max()]
    assert sample.pred_instances.bboxes[0].tolist() == [float(x) for x in wanted]
