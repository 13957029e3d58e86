import json

TOOL = "tools/analysis_tools/plan_memory.py"
CONFIG = "configs/mllmseg/internvl_tiny_toy.py"


def test_plan_beside_a_measured_step(run_tool):
    result = run_tool(
        TOOL, CONFIG, "--gpus", "2", "--measure", "--json", "--cfg-options", "train_dataloader.batch_size=2"
    )
    assert result.returncode == 0, result.stderr
    memory, host, smaller, measured = (table["rows"] for table in json.loads(result.stdout)["tables"])
    assert memory[-1]["part"] == "total"
    assert abs(memory[-1]["GB"] - sum(row["GB"] for row in memory[:-1])) < 1e-9
    assert host[-1]["GB"] == 4 * host[-2]["GB"]
    assert all(row["saves"] > 0 for row in smaller)
    assert abs(measured[0]["ratio"] - 1) < 0.15
    assert "It fits" in result.stderr


def test_wrong_numbers(run_tool):
    result = run_tool(TOOL, CONFIG, "--gpus", "0")
    assert result.returncode == 2
    assert "must be above 0" in result.stderr
