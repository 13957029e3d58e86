"""The check of downloads as a user runs it."""

import json

TOOL = "tools/dataset_converters/check_refer.py"


def test_a_part_of_the_data_is_no_error(run_tool, real_root, tmp_path):
    result = run_tool(TOOL, real_root, "--json", tmp_path / "found.json")
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in result.stdout.splitlines()]
    counts = ["2 of 1,300", "2 of 2,573", "2 of 4,896", "0", "1", "differ"]
    assert ["refcocog", "refs(umd).p", "val", *counts] in rows
    assert "errors: 0, warnings: 5, " in result.stdout
    (umd, google) = sorted(
        json.loads((tmp_path / "found.json").read_text())["refs_files"], key=lambda r: r["refs_file"]
    )[::-1]
    assert (umd["refs_file"], google["refs_file"]) == ("refs(umd).p", "refs(google).p")
    assert len(umd["problems"]) == 3
    assert len(google["problems"]) == 2


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
