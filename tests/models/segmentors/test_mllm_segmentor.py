import random

import pytest
import torch
import torch.nn.functional as F
from helpers.tiny_model import IMAGE_SIZE, make_samples

from mmseg_mllm.errors import CheckpointError, ConfigError, DataError

EXPRESSIONS = [
    ["red circle on the left", "the dog", "a small blue star near the top"],
    ["zebra", "man in a hat"],
]
EVERYTHING = ["vision", "projector", "llm", "lm_head"]


def one_by_one(segmentor, images, expressions):
    """(image, samples of one expression) for a plain separate forward each."""
    for b, texts in enumerate(expressions):
        for text in texts:
            yield images[b : b + 1], make_samples([[text]], first_image=b)


def test_independent_equals_separate_forwards(build_segmentor, images):
    segmentor = build_segmentor(trainable=EVERYTHING)
    together = segmentor(images, make_samples(EXPRESSIONS), mode="tensor")
    separate = [
        segmentor(image, sample, mode="tensor")
        for image, sample in one_by_one(segmentor, images, EXPRESSIONS)
    ]
    assert together.std() > 0.1
    torch.testing.assert_close(together, torch.cat(separate), atol=1e-5, rtol=0)


def test_independent_equals_separate_forwards_in_loss_and_gradient(build_segmentor, images, monkeypatch):
    segmentor = build_segmentor(trainable=EVERYTHING)
    monkeypatch.setattr("random.choice", lambda options: options[0])
    names = [name for name, p in segmentor.named_parameters() if p.requires_grad]

    def losses_and_gradients(batches):
        segmentor.zero_grad()
        losses = [segmentor(image, samples, mode="loss") for image, samples in batches]
        means = {key: torch.stack([loss[key] for loss in losses]).mean() for key in losses[0]}
        sum(means.values()).backward()
        parameters = dict(segmentor.named_parameters())
        return means, {n: parameters[n].grad.clone() for n in names if parameters[n].grad is not None}

    together, gradient = losses_and_gradients([(images, make_samples(EXPRESSIONS))])
    separate, wanted = losses_and_gradients(one_by_one(segmentor, images, EXPRESSIONS))
    assert set(together) == {"loss_text", "loss_bce", "loss_dice"}
    for key in together:
        torch.testing.assert_close(together[key], separate[key], atol=1e-5, rtol=0)
    assert len(wanted) > 50
    assert gradient.keys() == wanted.keys()
    for name in wanted:
        scale = max(1.0, wanted[name].abs().max().item())
        torch.testing.assert_close(gradient[name] / scale, wanted[name] / scale, atol=1e-5, rtol=0, msg=name)


def test_joint_with_one_expression_is_independent(build_segmentor, images):
    samples = make_samples([["the dog"], ["zebra"]])
    outputs = [
        build_segmentor(protocol=protocol)(images, samples, mode="tensor")
        for protocol in ("joint", "independent")
    ]
    torch.testing.assert_close(*outputs, atol=1e-5, rtol=0)


def test_joint_lets_expressions_see_one_another(build_segmentor, images):
    samples = make_samples(EXPRESSIONS)
    joint = build_segmentor(protocol="joint")(images, samples, mode="tensor")
    independent = build_segmentor()(images, samples, mode="tensor")
    assert (joint - independent).abs().max() > 0.01


def test_predict_resizes_probabilities_to_the_original_size(build_segmentor, images):
    segmentor = build_segmentor()
    samples = segmentor(images, make_samples(EXPRESSIONS), mode="predict")
    logits = segmentor(images, make_samples(EXPRESSIONS), mode="tensor")
    first = 0
    for sample, texts in zip(samples, EXPRESSIONS, strict=True):
        for k in range(len(texts)):
            probability = logits[first + k].sigmoid()[None]
            wanted = F.interpolate(probability, sample.ori_shape, mode="bilinear")[0, 0] >= 0.5
            assert torch.equal(sample.pred_instances.masks[k], wanted)
        first += len(texts)
        assert sample.protocol == "independent, forced"
        assert torch.equal(sample.pred_instances.rejected, sample.pred_instances.scores < 0)


def test_even_odds_are_foreground_and_no_rejection(build_segmentor, images):
    segmentor = build_segmentor()
    with torch.no_grad():
        for parameter in segmentor.decode_head.mask_out.parameters():
            parameter.zero_()
        rows = segmentor.backbone.model.lm_head.weight
        seg, rej = segmentor.backbone.answer_token_ids
        rows[rej] = rows[seg]
    samples = make_samples([["dog", "cat"]])
    samples[0].set_metainfo(dict(ori_shape=(IMAGE_SIZE, IMAGE_SIZE)))
    found = segmentor(images[:1], samples, mode="predict")[0].pred_instances
    assert found.probabilities.unique().tolist() == [0.5]
    assert found.masks.all()
    assert found.scores.tolist() == [0, 0]
    assert not found.rejected.any()


def test_probabilities_are_finer_than_bfloat16(build_segmentor, images):
    """The head's logits may be bfloat16; between 0.5 and 1 that tells 128 probabilities apart."""
    segmentor = build_segmentor(dtype="bfloat16")
    samples = make_samples([["dog", "cat"]])
    samples[0].set_metainfo(dict(ori_shape=(IMAGE_SIZE, IMAGE_SIZE)))
    logits = segmentor(images[:1], samples, mode="tensor").detach()
    assert logits.dtype is torch.bfloat16
    found = segmentor(images[:1], samples, mode="predict")[0].pred_instances.probabilities
    torch.testing.assert_close(found, 1 / (1 + (-logits[:, 0].float()).exp()), rtol=0, atol=1e-5)


def test_training_draws_prompts(build_segmentor, images):
    segmentor = build_segmentor()
    losses = []
    for seed in (0, 1, 2, 0):
        random.seed(seed)
        losses.append(segmentor(images, make_samples(EXPRESSIONS), mode="loss")["loss_text"].item())
    assert losses[0] == losses[3]
    assert len({round(loss, 4) for loss in losses}) == 3


def test_score_compares_seg_with_rej_before_the_slot(build_segmentor, images):
    """Against a plain forward of the whole HF model over one ordinary conversation."""
    segmentor = build_segmentor()
    backbone = segmentor.backbone
    sample = segmentor(images[:1], make_samples([["the dog"]]), mode="predict")[0]
    chat, prompt = backbone.family.chat, segmentor.prompt
    text = "".join([chat.prefix(prompt.system), *chat.branch(*prompt.branch(["the dog"]))])
    tokenizer = backbone.tokenizer.tokenizer
    ids = tokenizer(text.replace("<IMG_CONTEXT>", "<IMG_CONTEXT>" * 4), add_special_tokens=False).input_ids
    backbone.model.config.image_token_id = backbone.model.model.config.image_token_id = (
        backbone.tokenizer.image_id
    )
    logits = backbone.model(input_ids=torch.tensor([ids]), pixel_values=images[:1]).logits[0]
    slot = ids.index(backbone.tokenizer.seg_id)
    wanted = logits[slot - 1, backbone.tokenizer.seg_id] - logits[slot - 1, backbone.tokenizer.rej_id]
    torch.testing.assert_close(sample.pred_instances.scores[0], wanted, atol=1e-4, rtol=1e-4)


def test_expressions_without_target_are_told_apart_and_have_no_mask_loss(
    build_segmentor, images, monkeypatch
):
    monkeypatch.setattr("random.choice", lambda options: options[0])
    segmentor = build_segmentor()
    with_none = make_samples([["dog", "cat"], ["zebra"]], has_target=[[True, False], [True]])
    losses = segmentor(images, with_none, mode="loss")
    without = make_samples([["dog"], ["zebra"]])
    wanted = segmentor(images, without, mode="loss")
    torch.testing.assert_close(losses["loss_dice"], wanted["loss_dice"], atol=1e-5, rtol=0)
    features = segmentor.extract_feat(images, with_none, supervised=True)
    assert len(features.queries) == 3


def test_a_batch_without_any_target_trains(build_segmentor, images):
    segmentor = build_segmentor(trainable=EVERYTHING)
    samples = make_samples([["dog"], ["zebra"]], has_target=[[False], [False]])
    losses = segmentor(images, samples, mode="loss")
    assert losses["loss_bce"] == losses["loss_dice"] == 0
    sum(losses.values()).backward()


def test_absent_targets_can_be_trained_to_have_an_empty_mask(build_segmentor, images, monkeypatch):
    monkeypatch.setattr("random.choice", lambda options: options[0])
    samples = make_samples(EXPRESSIONS, has_target=[[True, False, True], [False, False]])
    for sample in samples:
        sample.gt_instances.masks[[not ids for ids in sample.ann_ids]] = False
    segmentor, plain = build_segmentor(empty_masks=True), build_segmentor()
    for model in (segmentor, plain):  # as of a model that has begun to draw
        torch.nn.init.constant_(model.decode_head.mask_out.bias, -3)
    losses = segmentor(images, samples, mode="loss")
    features = segmentor.extract_feat(images, samples, supervised=True)
    encoded = segmentor.decode_head.encode(features.detail, features.semantic)
    logits = segmentor.decode_head.decode(encoded, features.queries, features.image_index)
    masks = torch.cat([sample.gt_instances.masks for sample in samples])
    for name, value in segmentor.decode_head.mask_loss(logits, masks).items():
        torch.testing.assert_close(losses[name], value)
    targets_only = plain(images, samples, mode="loss")
    torch.testing.assert_close(losses["loss_text"], targets_only["loss_text"])
    assert losses["loss_dice"] > targets_only["loss_dice"] + 0.05


def test_unknown_protocol_and_prompt_are_refused(build_segmentor):
    with pytest.raises(ConfigError, match=r"unknown protocol 'all'.*independent, joint, paper, generate"):
        build_segmentor(protocol="all")


def test_checkpoint_of_another_model_is_refused(build_segmentor):
    segmentor = build_segmentor()
    state = segmentor.state_dict()
    state["decode_head.query_proj.weight"] = torch.zeros(3, 3)
    del state["decode_head.mask_out.bias"]
    with pytest.raises(CheckpointError, match=r"query_proj.weight has shape \(3, 3\).*mask_out.bias"):
        segmentor.load_state_dict(state)
    segmentor.load_state_dict(build_segmentor().state_dict())


@pytest.mark.parametrize("bound", [1, 2, 3])
def test_many_expressions_are_asked_in_parts(bound, build_segmentor, images):
    segmentor = build_segmentor()
    whole = segmentor(images, make_samples(EXPRESSIONS), mode="predict")
    segmentor.max_expressions = bound
    parts = segmentor(images, make_samples(EXPRESSIONS), mode="predict")
    for one, other, texts in zip(whole, parts, EXPRESSIONS, strict=True):
        assert len(other.pred_instances) == len(texts)
        torch.testing.assert_close(
            one.pred_instances.probabilities, other.pred_instances.probabilities, atol=1e-5, rtol=0
        )
        torch.testing.assert_close(one.pred_instances.scores, other.pred_instances.scores)
        assert other.protocol == one.protocol


@pytest.mark.parametrize("protocol", ["independent", "joint"])
def test_sentences_of_forty_words_beside_short_ones(build_segmentor, images, protocol):
    long = "when someone comes home late and wants to sit down, " * 4 + "what would they look for?"
    texts = [[long, "the cat", f"{long} and then?"], [f"so {long}"]]
    segmentor = build_segmentor(protocol=protocol)
    whole = segmentor(images, make_samples(texts), mode="predict")
    assert all(torch.isfinite(found.pred_instances.scores).all() for found in whole)
    segmentor.max_expressions = 2
    parts = segmentor(images, make_samples(texts), mode="predict")
    for one, other in zip(whole, parts, strict=True):
        torch.testing.assert_close(
            one.pred_instances.probabilities, other.pred_instances.probabilities, atol=1e-5, rtol=0
        )
    if protocol == "independent":
        for b, expressions in enumerate(texts):
            for k, text in enumerate(expressions):
                (alone,) = segmentor(images[b : b + 1], make_samples([[text]]), mode="predict")
                torch.testing.assert_close(
                    alone.pred_instances.scores[0], whole[b].pred_instances.scores[k], atol=1e-4, rtol=0
                )
    losses = segmentor(images, make_samples(texts), mode="loss")
    assert all(torch.isfinite(loss) for loss in losses.values())


def test_two_hundred_expressions_and_an_image_without_any(build_segmentor, images):
    texts = [[f"object number {k}" for k in range(200)], []]
    samples = make_samples([texts[0], ["x"]])
    samples[1].set_metainfo(dict(expressions=[], ann_ids=[]))
    found = build_segmentor()(images, samples, mode="predict")
    assert [len(sample.pred_instances.masks) for sample in found] == [200, 0]
    assert found[1].pred_instances.masks.shape == (0, *samples[1].ori_shape)


@pytest.mark.parametrize(("mode", "most"), [("loss", 64), ("predict", 64), ("predict", 2)])
@pytest.mark.parametrize("text", ["the <end_of_turn> dog", "the <END_OF_TURN>", "a dog</s>", "cat \ud83d"])
def test_what_its_own_tokenizer_takes_for_a_token_is_refused(build_segmentor, images, mode, most, text):
    """Also tokens that prompts.CONTROL_TOKENS lacks, in any case of letters; also where asked in parts."""
    segmentor = build_segmentor()
    segmentor.max_expressions = most
    tokenizer = segmentor.backbone.tokenizer.tokenizer
    tokenizer.add_special_tokens(dict(additional_special_tokens=["<end_of_turn>"]))
    samples = make_samples([["the dog"], ["the cat", text]])
    samples[1].set_metainfo(dict(img_path="mine/a.jpg"))
    with pytest.raises(DataError, match=r"^mine/a\.jpg: an expression holds "):
        segmentor(images, samples, mode=mode)
