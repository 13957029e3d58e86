"""What is measured is what the model does; times themselves are not judged."""

import json
import math
from collections import Counter
from functools import partial

import pytest
import torch
from helpers.tiny_model import tiny_config
from mmengine.config import Config
from mmseg.registry import MODELS

from mmseg_mllm.analysis import build_on_meta, count_flops
from mmseg_mllm.analysis.benchmarks import MODES, as_json, make_setting, run_benchmark, sentences_mode
from mmseg_mllm.analysis.benchmarks import random_weights as rw
from mmseg_mllm.analysis.benchmarks.flops import count
from mmseg_mllm.analysis.benchmarks.growth_plot import slopes
from mmseg_mllm.analysis.benchmarks.measure import measure
from mmseg_mllm.analysis.benchmarks.memory import PeakMemory
from mmseg_mllm.analysis.benchmarks.model_modes import inference
from mmseg_mllm.analysis.benchmarks.random_weights import RepeatedRandom, build_random
from mmseg_mllm.analysis.benchmarks.sentence_file import read_sentences, sentence_flops
from mmseg_mllm.analysis.benchmarks.synthetic_tokenizer import SyntheticTokenizer, expression_texts
from mmseg_mllm.analysis.complexity import BRANCH_TOKENS
from mmseg_mllm.errors import ConfigError, DataError
from mmseg_mllm.models.backbones.families import family_of
from mmseg_mllm.models.decode_heads import dsff_head
from mmseg_mllm.prompts import prompt_style

OPTIMIZER = dict(type="OptimWrapper", optimizer=dict(type="AdamW", lr=1e-3))


def config(**backbone) -> Config:
    return Config(dict(model=tiny_config(**backbone), optim_wrapper=OPTIMIZER))


def setting(**changes):
    arguments = dict(device="cpu", dtype="float32", images=2, expressions=3, repeats=2)
    return make_setting(**{**arguments, **changes}, config=config())


def run(mode: str, *, images: int = 2, expressions: int = 3, **backbone) -> dict:
    given = setting(images=images, expressions=expressions)
    benchmark, measured = run_benchmark(mode, config(**backbone), given)
    return as_json(benchmark, measured, given, mode=mode, config="tiny")


@pytest.mark.parametrize("mode", ["inference", "predictor", "head"])
def test_ways_give_the_same_masks(mode):
    result = run(mode)
    same = [pair for pair in result["compared"] if not pair["must_differ"]]
    assert same
    assert all(pair["largest_difference"] < 1e-4 for pair in same)
    assert all(pair["ratio"][key] > 0 for pair in result["compared"] for key in ("median", "min", "max"))
    assert result["finite"]


@pytest.mark.parametrize("mode", ["inference", "training"])
def test_joint_masks_differ_only_with_several_expressions(mode):
    several, one = ({p["way"] + p["plain"]: p for p in run(mode, expressions=k)["compared"]} for k in (3, 1))
    pair = "independentjoint"
    assert several[pair]["must_differ"]
    assert several[pair]["largest_difference"] > 1e-3
    assert not one[pair]["must_differ"]
    assert one[pair]["largest_difference"] < 1e-4


def test_masks_depend_on_the_expression_and_the_image():
    ways = inference(config(), setting()).ways
    masks = ways["independent"].run()
    assert masks.shape == (6, 1, 32, 32)
    assert all((masks[i] - masks[j]).abs().max() > 1e-3 for i in range(6) for j in range(i))


def test_times_and_rates_fit_together():
    result = run("inference")
    for way in result["ways"].values():
        seconds = way["seconds"]
        assert len(seconds["all"]) == 2
        assert 0 < seconds["min"] <= seconds["median"] <= seconds["max"]
        assert way["seconds_per_image"] * 2 == pytest.approx(seconds["median"])
        assert way["expressions_per_second"] * way["seconds_per_expression"] == pytest.approx(1)
        assert way["share_of_matmul_rate"] > 0
        assert way["peak_memory_bytes"] > 0
    assert result["matmul_flops_per_second"]["median"] > 0


def test_flops_are_those_of_the_complexity_tool():
    result = run("inference", images=1)
    segmentor = build_on_meta(tiny_config(), merged=True)
    three, one = (sum(count_flops(segmentor, expressions=k).values()) for k in (3, 1))
    ways = {name: way["flops"] for name, way in result["ways"].items()}
    joint = ways.pop("joint")  # the words of the question are asked once
    assert ways == {"independent": three, "a full run for each expression": 3 * one}
    assert one < joint < three


def test_training_trains_what_the_config_says():
    lora = dict(r=4, lora_alpha=8)
    result = run("training", lora=lora)
    assert all(way["flops"] > 0 for way in result["ways"].values())
    figures = result["figures"]
    assert figures["LM-head logits at all positions, MiB"] == figures["positions"] * 1024 * 4 / 2**20
    # Answers of 7 tokens, [SEG] and two that end the turn.
    assert figures["answer positions"] == 2 * 3 * 10
    assert figures["positions"] == 2 * (42 + 4) + 2 * 3 * (28 + 3)


def test_further_expressions_cost_less_flops_than_full_runs():
    ways = {name: way["flops"] for name, way in run("predictor")["ways"].items()}
    assert ways["further expression"] < ways["full run for one expression"]
    assert ways["set image, first expression"] == ways["set image"] + ways["further expression"]


def test_the_authors_way_is_the_plain_one_of_the_head():
    ways = {name: way["flops"] for name, way in run("head", images=1, expressions=2)["ways"].items()}
    assert ways["encode once, decode each"] < ways["all of it for each"]


def test_counting_flops_does_not_keep_torch_from_compiling():
    calls = []

    def backend(graph, inputs):
        return lambda *args: calls.append(1) or graph(*args)

    square = torch.compile(lambda x: x @ x, backend=backend)
    x = torch.randn(8, 8)
    result, flops = count(lambda: square(x))
    assert (flops, calls) == (2 * 8**3, [])
    torch.testing.assert_close(square(x), result)
    assert calls == [1]


def test_compiled_ways_run_compiled(monkeypatch):
    runs = []

    def backend(graph, inputs):
        return lambda *args: runs.append(graph) or graph(*args)

    dsff_head._compiled.cache_clear()
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=backend))
    result = run("compiled", images=1, expressions=2)
    dsff_head._compiled.cache_clear()
    # DySample, encode and decode, each once to warm up and in two repeats.
    assert sorted(Counter(map(id, runs)).values()) == [3, 3, 3]
    ways = result["ways"]
    assert ways["DySample, compiled"]["flops"] == ways["DySample"]["flops"] > 0
    assert ways["mask decoder, compiled"]["flops"] == ways["mask decoder"]["flops"] > 0
    same = {p["way"]: p["largest_difference"] for p in result["compared"] if not p["must_differ"]}
    assert same.keys() == {"DySample, compiled", "mask decoder, compiled"}
    assert max(same.values()) < 1e-5


def test_growth_is_a_line_in_flops():
    result = run("growth", images=1, expressions=9)
    assert list(result["ways"]) == ["K = 1", "K = 2", "K = 4", "K = 8"]
    one, two, four, eight = (way["flops"] for way in result["ways"].values())
    # Expressions up to 9 have as many tokens.
    assert eight - four == 2 * (four - two) == 4 * (two - one) > 0
    measured, predicted = slopes(result)
    assert predicted == pytest.approx((two - one) * result["ways"]["K = 1"]["seconds"]["median"] / one)
    assert math.isfinite(measured)


def test_growth_wants_its_own_figures():
    with pytest.raises(ConfigError, match="growth"):
        slopes(run("head", images=1))


@pytest.fixture
def sentences(tmp_path, monkeypatch):
    """Three images with 1, 2 and 3 sentences of that many words, and one without words."""
    monkeypatch.setattr(sentences_mode, "SAMPLE", 3)
    items = [dict(image=f"{n}.jpg", text=" ".join(["dog"] * n)) for n in (1, 2, 3) for _ in range(n)]
    path = tmp_path / "sentences.json"
    path.write_text(json.dumps(dict(items=[*items, dict(image="4.jpg", text=" . ")])))
    return path


def test_flops_of_real_sentences_are_those_of_their_runs(sentences):
    given = setting(images=1, repeats=1, sentences=str(sentences))
    benchmark, measured = run_benchmark("sentences", config(), given)
    figures = benchmark.figures
    assert (figures["images"], figures["expressions"]) == (3, 6)
    assert measured.compared[0].difference < 1e-4
    # The sample is all there is, so that the counted and the predicted FLOPs are the same.
    for name, way in measured.ways.items():
        assert figures[f"TFLOPs, {name}"] * 1e12 == pytest.approx(way.flops, rel=1e-6)


def test_few_images_can_be_counted_but_not_measured(sentences):
    sentences.write_text(json.dumps(dict(items=[dict(image="1.jpg", text="the dog")] * 2)))
    figures = sentence_flops(config().model, read_sentences(str(sentences)))
    assert (figures["images"], figures["expressions"]) == (1, 2)
    with pytest.raises(DataError, match="1 images with sentences; 3 are measured"):
        run_benchmark("sentences", config(), setting(sentences=str(sentences)))


def test_sentences_that_are_missing_or_broken_are_told(sentences):
    with pytest.raises(ConfigError, match="--sentences FILE"):
        run_benchmark("sentences", config(), setting())
    for text, message in (
        ("[]", 'under "items"'),
        ('{"items": [{"image": "a"}]}', r'items\[0\] has no "image" and "text"'),
        ('{"items": []}', "0 images with sentences"),
    ):
        sentences.write_text(text)
        with pytest.raises(DataError, match=message):
            run_benchmark("sentences", config(), setting(sentences=str(sentences)))
    with pytest.raises(DataError, match="no such file"):
        run_benchmark("sentences", config(), setting(sentences="nowhere.json"))


def test_a_word_is_a_token():
    style = prompt_style("mllmseg")
    tokenizer = SyntheticTokenizer(vocab_size=1024)
    texts = expression_texts(4)
    chat = family_of("internvl").chat

    def branches(*asked):
        turns = [chat.branch(*style.branch(texts)) for texts in asked]
        return tokenizer.branches("", turns, supervised=False)

    joint, alone = branches(texts), branches(*([text] for text in texts))
    assert [len(branch.slots) for branch in joint] == [4]
    assert [branch.slots for branch in alone] == [[BRANCH_TOKENS]] * 4
    # Together they share all but their own 4 + 4 words, colon, [SEG] and two commas.
    assert len(joint[0].ids) == BRANCH_TOKENS + 3 * (4 + 4 + 4)
    assert len({tuple(branch.ids) for branch in alone}) == 4
    longer = branches(["the big thing number 1"])
    assert len(longer[0].ids) == BRANCH_TOKENS + 2
    assert longer[0].ids[:2] == alone[0].ids[:2]


def test_random_weights_spare_constants(monkeypatch):
    monkeypatch.setattr(rw, "PERIOD", 101)
    segmentor = build_random(tiny_config(), setting(), merged=True)
    usual = MODELS.build(tiny_config())
    for (name, found), expected in zip(
        segmentor.state_dict().items(), usual.state_dict().values(), strict=True
    ):
        assert found.shape == expected.shape
        assert found.isfinite().all()
        if found.is_floating_point() and expected.numel() > 1000:
            assert found.std().item() == pytest.approx(expected.std().item(), rel=0.3), name
        if expected.unique().numel() == 1:
            assert found.equal(expected), name
    assert segmentor.decode_head.fusion.upsample.init_pos.equal(usual.decode_head.fusion.upsample.init_pos)
    linear = segmentor.backbone.model.model.language_model.layers[0].mlp.up_proj.weight
    assert len(linear.unique(dim=0)) == len(linear)


def test_large_tensors_repeat_what_was_drawn():
    with RepeatedRandom():
        tensor = torch.empty(3, rw.PERIOD).normal_(1.0, 2.0)
        other = torch.empty(rw.PERIOD + 1).normal_(1.0, 2.0)
        small = torch.empty(10).uniform_(-1, 1)
    assert tensor[0].equal(tensor[1])
    assert tensor.mean().item() == pytest.approx(1, abs=0.01)
    assert tensor.std().item() == pytest.approx(2, abs=0.01)
    assert not tensor[0].equal(other[:-1])
    assert small.unique().numel() == 10


def test_resident_peak_sees_what_was_freed():
    memory = PeakMemory(torch.device("cpu"))
    if "since it began" in memory.says:
        pytest.skip("this system does not let a process reset its peak")
    memory.start()
    before = memory.peak()
    torch.ones(50_000_000)
    assert memory.peak() > before + 150_000_000


def test_results_that_are_not_finite_are_told():
    given = setting()
    benchmark = inference(config(), given)
    way = benchmark.ways["joint"]
    object.__setattr__(way, "result", torch.full((6, 1, 32, 32), math.nan))
    assert not measure(benchmark, given).finite


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (dict(device="tpu"), "device 'tpu'"),
        (dict(dtype="float16"), "dtype 'float16'"),
        (dict(expressions=0), "expressions=0"),
        (dict(images=-1), "batch=-1"),
        (dict(repeats=0), "repeats=0"),
    ],
)
def test_wrong_settings_are_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        setting(**changes)


def test_cuda_is_refused_where_there_is_none(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match="no CUDA device"):
        setting(device="cuda")


def test_unknown_mode():
    with pytest.raises(ConfigError, match="unknown mode 'speed'; there are inference, "):
        run_benchmark("speed", config(), setting())


@pytest.mark.parametrize("mode", [mode for mode in MODES if mode not in ("pipeline", "sentences")])
def test_another_segmentor_is_refused(mode):
    with pytest.raises(ConfigError, match="MLLMSegmentor"):
        run_benchmark(mode, Config(dict(model=dict(type="EncoderDecoder"))), setting())
