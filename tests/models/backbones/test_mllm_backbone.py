import json
import re

import pytest
import torch
from helpers.tiny_model import make_samples, tiny_config
from mmseg.registry import MODELS
from safetensors.torch import load_file, save_file
from transformers import AutoModelForImageTextToText

from mmseg_mllm.errors import CheckpointError, ConfigError
from mmseg_mllm.prompts import prompt_style

EXPRESSIONS = [["the dog", "red circle"], ["zebra"]]
LORA = dict(r=4, lora_alpha=8, lora_dropout=0.0)


def step(segmentor, images):
    losses = segmentor(images, make_samples(EXPRESSIONS), mode="loss")
    sum(losses.values()).backward()
    return losses


def test_lora_trains_adapters_and_the_rows_of_two_tokens(build_segmentor, images):
    segmentor = build_segmentor(lora=LORA, trainable=["llm_norm"])
    backbone = segmentor.backbone
    step(segmentor, images)
    trained = {name: p for name, p in backbone.named_parameters() if p.requires_grad}
    kinds = {"lora_": 0, "trainable_tokens_delta": 0, "norm.weight": 0}
    for name, parameter in trained.items():
        assert parameter.grad is not None, name
        kinds[next(kind for kind in kinds if kind in name)] += 1
    # A and B for each of 7 linears in 2 layers, rows in embedding and LM head, the last norm.
    assert list(kinds.values()) == [2 * 7 * 2, 2, 1]
    assert all(p.shape == (2, 32) for name, p in trained.items() if "tokens" in name)
    assert not any("vision_tower" in name for name in trained)


def test_a_step_changes_the_two_rows_and_no_other(build_segmentor, images):
    segmentor = build_segmentor(lora=LORA)
    backbone = segmentor.backbone
    embed, head = backbone.model.get_input_embeddings(), backbone.model.get_output_embeddings()
    everything = torch.arange(backbone.vocab_size)
    before = embed(everything).detach().clone(), head(torch.eye(32)).detach().clone().T
    optimizer = torch.optim.SGD([p for p in segmentor.parameters() if p.requires_grad], lr=1.0)
    step(segmentor, images)
    optimizer.step()
    after = embed(everything), head(torch.eye(32)).T
    rows = [(a - b).abs().sum(dim=1).nonzero().flatten().tolist() for a, b in zip(after, before, strict=True)]
    seg, rej = backbone.answer_token_ids
    assert set(rows[1]) == {seg, rej}
    assert set(rows[0]) <= {seg, rej}


def test_fresh_lora_changes_nothing(build_segmentor, images):
    samples = make_samples(EXPRESSIONS)
    outputs = [build_segmentor(lora=lora).extract_feat(images, samples).queries for lora in (None, LORA)]
    torch.testing.assert_close(*outputs, atol=1e-5, rtol=0)


def test_bfloat16_keeps_what_is_trained_in_float32(build_segmentor, images):
    segmentor = build_segmentor(lora=LORA, trainable=["llm_norm"], dtype="bfloat16")
    dtypes = {p.requires_grad: set() for p in segmentor.backbone.parameters()}
    for parameter in segmentor.backbone.parameters():
        dtypes[parameter.requires_grad].add(parameter.dtype)
    assert dtypes == {True: {torch.float32}, False: {torch.bfloat16}}
    losses = step(segmentor, images)
    assert all(loss.isfinite() for loss in losses.values())
    assert all(p.grad is not None for p in segmentor.parameters() if p.requires_grad)


def test_gradient_checkpointing_gives_the_same_gradients(build_segmentor, images, monkeypatch):
    monkeypatch.setattr("random.choice", lambda options: options[0])
    gradients = []
    for checkpointing in (False, True):
        segmentor = build_segmentor(lora=LORA, gradient_checkpointing=checkpointing).train()
        for module in segmentor.modules():
            if isinstance(module, torch.nn.Dropout | torch.nn.MultiheadAttention):
                module.eval()
        step(segmentor, images)
        gradients.append([p.grad for p in segmentor.backbone.parameters() if p.requires_grad])
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-4)


@pytest.fixture
def saved(build_segmentor, tmp_path):
    """A folder as `from_pretrained` wants it, with a vocabulary that lacks [SEG] and [REJ]."""
    config = tiny_config()["backbone"]
    backbone = MODELS.build(config)
    tokenizer = MODELS.build(config["tokenizer"])
    model = backbone.model
    model.resize_token_embeddings(len(backbone.tokenizer) - 2)
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    return tmp_path


def load(folder, **changes):
    config = tiny_config()["backbone"]
    arch = config["arch"] | {"text_config": config["arch"]["text_config"] | changes}
    return MODELS.build(dict(type="MLLMBackbone", arch=arch, pretrained=str(folder)))


def test_pretrained_folder_gets_mean_rows_for_new_tokens(saved):
    backbone = load(saved)
    original = AutoModelForImageTextToText.from_pretrained(saved)
    for layer in ("get_input_embeddings", "get_output_embeddings"):
        old, new = (getattr(model, layer)().weight for model in (original, backbone.model))
        assert len(new) == len(old) + 2
        assert torch.equal(new[:-2], old)
        torch.testing.assert_close(new[-2:], old.mean(dim=0).expand(2, -1))
    assert backbone.answer_token_ids == (len(old), len(old) + 1)


def test_pretrained_weights_survive_init_weights(saved):
    backbone = load(saved)
    before = {name: p.clone() for name, p in backbone.named_parameters()}
    backbone.init_weights()
    assert all(torch.equal(p, before[name]) for name, p in backbone.named_parameters())


def test_pretrained_folder_of_another_model_is_refused(saved):
    with pytest.raises(CheckpointError, match=r"text_config.num_hidden_layers is 2, not 3"):
        load(saved, num_hidden_layers=3)


def test_pretrained_folder_without_model_is_refused(tmp_path):
    with pytest.raises((CheckpointError, ConfigError), match=str(tmp_path)):
        load(tmp_path)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (dict(dtype="int8"), "dtype='int8'"),
        (dict(trainable=["everything"]), "no such part; there are vision"),
        (dict(lora=dict(rank=3)), "peft.LoraConfig"),
        (dict(arch=dict(model_type="nothing")), "no such base"),
        (dict(pretrained="./nowhere"), "no such folder"),
    ],
)
def test_wrong_arguments_are_told(wrong, message):
    with pytest.raises((ConfigError, CheckpointError), match=message):
        MODELS.build({**tiny_config()["backbone"], **wrong})


def test_no_tokenizer_is_told_when_it_is_needed(images):
    backbone = MODELS.build({**tiny_config()["backbone"], "tokenizer": None})
    with pytest.raises(ConfigError, match="no tokenizer"):
        backbone.layout("", [[("", "")]], image_size=32, supervised=False)


def test_vocabulary_too_small_for_the_tokenizer():
    config = tiny_config()["backbone"]
    config["arch"]["text_config"]["vocab_size"] = 20
    with pytest.raises(ConfigError, match="vocab_size=20 is smaller than the tokenizer"):
        MODELS.build(config)


def test_folder_that_does_not_say_if_weights_are_tied_keeps_its_lm_head(saved):
    path = saved / "config.json"
    config = json.loads(path.read_text())
    config.pop("tie_word_embeddings", None)
    config["text_config"].pop("tie_word_embeddings", None)
    tensors = load_file(saved / "model.safetensors")
    head = next(tensor for name, tensor in tensors.items() if "lm_head" in name)
    path.write_text(json.dumps(config))
    backbone = load(saved)
    assert torch.equal(backbone.model.lm_head.weight[: len(head)], head)
    assert backbone.model.lm_head.weight is not backbone.model.get_input_embeddings().weight


def test_an_lm_head_that_is_not_the_embedding_stays_so_where_the_config_ties_them(saved):
    """New rows would otherwise make the embedding of it, or it of the embedding."""
    tensors = load_file(saved / "model.safetensors")
    head = next(tensor for name, tensor in tensors.items() if "lm_head" in name)
    embedding = next(tensor for name, tensor in tensors.items() if "embed_tokens" in name)
    config = tiny_config()["backbone"]
    arch = config["arch"] | dict(tie_word_embeddings=True)
    arch["text_config"] = arch["text_config"] | dict(tie_word_embeddings=True)
    backbone = MODELS.build(dict(type="MLLMBackbone", arch=arch, pretrained=str(saved)))
    assert torch.equal(backbone.model.get_output_embeddings().weight[:-2], head)
    assert torch.equal(backbone.model.get_input_embeddings().weight[:-2], embedding)
    assert not torch.equal(head, embedding)


def test_folder_with_missing_tensors_is_refused(saved):
    tensors = load_file(saved / "model.safetensors")
    gone = next(name for name in tensors if "layers.1.mlp.up_proj" in name)
    del tensors[gone]
    save_file(tensors, saved / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match=r"1 tensors are missing.*up_proj"):
        load(saved)


def test_folder_with_a_cut_off_file_is_refused(saved):
    path = saved / "model.safetensors"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match=re.escape(str(saved))):
        load(saved)


@torch.no_grad()
def test_reading_on_after_a_kept_prefix_is_reading_it_all(build_segmentor, images):
    backbone = build_segmentor().backbone
    style = prompt_style("mllmseg")
    vision = backbone.see(images)
    prefix = backbone.read_prefix(vision, style.system, image_size=32)
    assert (
        prefix.nbytes > 2 * 2 * prefix.keys_values[0][0].shape[2] * 16 * 4
    )  # layers, keys and values, heads x dim
    for expressions in ([["dog"], ["left man", "zebra", "a small red star"]], [["cat", "top"], ["blue"]]):
        turns = [[style.branch([text]) for text in image] for image in expressions]
        layout = backbone.layout(style.system, turns, image_size=32, supervised=False)
        whole, on = backbone.read(vision, layout), backbone.read_on(prefix, layout)
        for name in ("detail", "semantic", "queries", "image_index"):
            torch.testing.assert_close(getattr(on, name), getattr(whole, name), atol=1e-5, rtol=1e-5)


def test_a_frozen_vision_tower_makes_no_graph(build_segmentor, images):
    backbone = build_segmentor(lora=LORA, gradient_checkpointing=True).train().backbone
    vision = backbone.see(images)
    assert not vision.detail.requires_grad
    assert not vision.image_tokens.requires_grad
