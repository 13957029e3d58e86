import pytest
from mmengine.config import Config

from mmseg_mllm.analysis.training_runs import digest, missing, read_runs, summarise, write_runs
from mmseg_mllm.errors import DataError

CONFIGS = dict(a=Config(dict(lr=1.0)), b=Config(dict(lr=2.0)))


def run(name, seed, figure, config=None):
    config = config or CONFIGS[name]
    metrics = dict(mIoU=figure)
    return dict(name=name, digest=digest(config), seed=seed, seconds=9.0, cpu_seconds=4.0, metrics=metrics)


def test_where_files_go_makes_no_other_config():
    assert digest(Config(dict(lr=1.0, work_dir="here"))) == digest(CONFIGS["a"])
    assert digest(Config(dict(lr=1.5))) != digest(CONFIGS["a"])


def test_only_what_is_missing_is_done_seed_by_seed():
    runs = [run("a", 0, 50.0), run("b", 1, 60.0), run("b", 0, 70.0, config=Config(dict(lr=3.0)))]
    todo = [(name, seed) for name, _, seed in missing(CONFIGS, [0, 1], runs)]
    assert todo == [("b", 0), ("a", 1)]


def test_mean_and_deviation_of_complete_configs_only():
    runs = [run("a", seed, figure) for seed, figure in enumerate([50.0, 53.0, 56.0])] + [run("b", 0, 1.0)]
    summary = summarise(CONFIGS, [0, 1, 2], runs, "mIoU")
    assert list(summary) == ["a"]
    assert summary["a"]["figures"] == [50.0, 53.0, 56.0]
    assert (summary["a"]["mean"], summary["a"]["deviation"]) == (53.0, 3.0)


def test_files_come_back_and_others_are_refused(tmp_path):
    path = tmp_path / "runs.json"
    assert read_runs(path) == []
    write_runs(path, [run("a", 0, 50.0)])
    assert read_runs(path) == [run("a", 0, 50.0)]
    assert [p.name for p in tmp_path.iterdir()] == ["runs.json"]
    path.write_text('{"costs": []}')
    with pytest.raises(DataError, match=r"runs\.json holds no training runs"):
        read_runs(path)
