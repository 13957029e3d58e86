import json

import pytest
from helpers.in_process import run_in_process
from PIL import Image

from mmseg_mllm.analysis.benchmarks import growth_plot

TOOL = "tools/analysis_tools/plot_growth.py"


def growth(seconds, flops):
    ways = {
        f"K = {2**k}": dict(seconds=dict(median=s, min=s * 0.9, max=s * 1.2), flops=f)
        for k, (s, f) in enumerate(zip(seconds, flops, strict=True))
    }
    return dict(mode="growth", ways=ways, config="configs/a_model.py", dtype="float32", device="a machine")


def test_draws_and_tells_both_slopes(monkeypatch, capsys, tmp_path):
    source, picture = tmp_path / "growth.json", tmp_path / "growth.png"
    # 2 s and a further 0.5 s each; 100 FLOPs and a further 10, so 0.2 s at 50 FLOPs a second.
    source.write_text(json.dumps(growth([2.0, 2.5, 3.5], [100, 110, 130])))
    code, out, err = run_in_process(monkeypatch, capsys, TOOL, str(source), str(picture))
    assert (code, err) == (0, "")
    assert "a further expression costs 0.5 s, 0.2 s predicted" in out
    with Image.open(picture) as image:
        assert min(image.size) > 300
        assert len(image.convert("RGB").getcolors(100_000)) > 10


def test_nothing_leaves_the_frame_and_the_deviation_is_said(monkeypatch, tmp_path):
    figures = []
    monkeypatch.setattr(growth_plot.plt, "close", figures.append)
    # 120 FLOPs at 50 a second are 2.4 s; 3 s are a quarter more, at 0.8 of the rate.
    growth_plot.plot_growth(growth([2.0, 2.5, 3.0], [100, 110, 120]), tmp_path / "a.png")
    (axes,) = figures[0].axes
    (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
    for line in axes.lines:
        x, y = line.get_data()
        assert left <= min(x) <= max(x) <= right
        assert low <= min(y) <= max(y) <= high
    assert "K = 4 takes 25% more than predicted: its work runs at 0.80 times" in axes.get_xlabel()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}", "benchmark.py growth"),
        (json.dumps(growth([2.0], [100])), "--expressions 2 or more"),
        ("not json", "can't be read as JSON"),
        (None, "no such file"),
    ],
)
def test_errors_are_told(monkeypatch, capsys, tmp_path, text, message):
    source = tmp_path / "growth.json"
    if text is not None:
        source.write_text(text)
    code, _, err = run_in_process(monkeypatch, capsys, TOOL, str(source), str(tmp_path / "growth.png"))
    assert code == 1
    assert err.startswith("error: ")
    assert message in err
