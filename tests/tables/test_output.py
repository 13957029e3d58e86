import argparse
import csv
import io
import json

import pytest

from mmseg_mllm.errors import ConfigError
from mmseg_mllm.tables.output import add_table_flags, check_table_flags, output_for_tables, write_tables
from mmseg_mllm.tables.table import ResultTable

TABLES = [
    ResultTable(
        title="RES of mine[v2]",
        names=["dataset"],
        rows=[dict(dataset="mine[v2]", images=1500, cIoU=200 / 3)],
        shared=dict(task="RES"),
    ),
    ResultTable(
        title="by size",
        names=["size"],
        rows=[dict(size="a|b", images=1, mIoU=float("nan"))],
        total=dict(size="all", images=1, mIoU=None),
        shared=dict(task="RES", split="val"),
    ),
]


def parsed(*arguments) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("config")
    add_table_flags(parser)
    return parser.parse_args(["x.py", *map(str, arguments)])


def told(capsys, *arguments) -> tuple[str, str]:
    args = parsed(*arguments)
    check_table_flags(args)
    with output_for_tables(args):
        print("progress")
    write_tables(TABLES, args, made_by="python x [a]")
    return capsys.readouterr()


def test_json_alone_on_the_output(capsys):
    out, err = told(capsys, "--json")
    content = json.loads(out)
    assert content["made_by"] == "python x [a]"
    first, second = content["tables"]
    assert first["rows"] == [dict(task="RES", dataset="mine[v2]", images=1500, cIoU=200 / 3)]
    assert second["rows"][0]["mIoU"] is None
    assert err == "progress\nmade by: python x [a]\n"


def test_csv_has_one_head_for_all_tables(capsys):
    out, _ = told(capsys, "--csv")
    assert list(csv.DictReader(io.StringIO(out))) == [
        dict(task="RES", dataset="mine[v2]", images="1500", cIoU=str(200 / 3), split="", size="", mIoU=""),
        dict(task="RES", dataset="", images="1", cIoU="", split="val", size="a|b", mIoU=""),
        dict(task="RES", dataset="", images="1", cIoU="", split="val", size="all", mIoU=""),
    ]


def test_files_stand_beside_the_printed_tables(capsys, tmp_path):
    path = tmp_path / "x.md"
    out, err = told(capsys, "--markdown", path)
    assert "│ mine[v2] │  1,500 │ 66.67 │" in out
    assert out.endswith(f"made by: python x [a]\nmarkdown: {path}\n")
    assert err == ""
    assert path.read_text().splitlines()[:5] == [
        "RES of mine\\[v2\\]",
        "",
        "| dataset | images | cIoU |",
        "|---|---:|---:|",
        "| mine\\[v2\\] | 1,500 | 66.67 |",
    ]
    assert "| a\\|b | 1 | - |" in path.read_text()


def test_a_config_is_not_taken_for_the_file(capsys):
    with pytest.raises(SystemExit):
        parsed("--json", "config.py")
    assert "must end in .json" in capsys.readouterr().err


def test_places_that_cannot_be_written_are_told_first(tmp_path):
    with pytest.raises(ConfigError, match=r"--csv .*: there is no folder"):
        check_table_flags(parsed("--csv", tmp_path / "no" / "x.csv"))
    with pytest.raises(ConfigError, match="only one can go to the output"):
        check_table_flags(parsed("--csv", "--json"))


def test_a_flag_that_the_tool_has_for_something_else_gets_no_tables(capsys, tmp_path):
    parser = argparse.ArgumentParser()
    parser.add_argument("--json")
    add_table_flags(parser, leave_out=["json"])
    args = parser.parse_args(["--json", str(tmp_path / "runs.json")])
    check_table_flags(args)
    write_tables(TABLES, args, made_by="python x")
    assert "json" not in capsys.readouterr().out
    assert not list(tmp_path.iterdir())
