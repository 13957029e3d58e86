"""The check of downloads as a user runs it."""

import json

TOOL = "tools/dataset_converters/check_refer.py"


def test_a_part_of_the_data_is_no_error(run_tool, shared_dir, tmp_path):
    root = shared_dir / "real_refcoco"
    result = run_tool(TOOL, root, "--json", tmp_path / "found.json")
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in result.stdout.splitlines()]
    assert [
        "refcoco",
        "refs(unc).p",
        "testA",
        "2 of 750",
        "3 of 1,975",
        "9 of 5,657",
        "0",
        "1",
        "differ",
    ] in rows
    assert "errors: 0, warnings: 13, " in result.stdout
    found = json.loads((tmp_path / "found.json").read_text())
    assert (found["errors"], found["warnings"]) == (0, 13)
    assert {report["dataset"] for report in found["refs_files"]} == {
        "refcoco",
        "refcoco+",
        "refcocog",
        "grefcoco",
    }


def test_errors_give_exit_code_1_and_all_is_reported(run_tool, refer_root, tmp_path):
    (refer_root / "grefcoco" / "grefs(unc).json").write_text("[[")
    result = run_tool(TOOL, refer_root, "--images", tmp_path, "--json", tmp_path / "found.json")
    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    assert "images not found" in result.stdout
    assert "file can't be used" in result.stdout
    assert "6 of 10,834" in result.stdout
    assert json.loads((tmp_path / "found.json").read_text())["errors"] == 2


def test_nothing_to_check(run_tool, tmp_path):
    result = run_tool(TOOL, tmp_path)
    assert result.returncode == 1
    assert result.stderr.startswith(f"error: {tmp_path}: no folder below has instances.json")
    assert len(result.stderr.splitlines()) == 1
