import pytest

from mmseg_mllm.engine.cli import run_tool
from mmseg_mllm.errors import DataError


def test_a_data_workers_error_is_told_without_its_traceback(capsys):
    def main():
        raise DataError(
            "Caught DataError in DataLoader worker process 0.\nTraceback ...\nDataError: x.jpg: missing"
        )

    with pytest.raises(SystemExit) as exit_info:
        run_tool(main)
    assert exit_info.value.code == 1
    assert capsys.readouterr().err == "error: x.jpg: missing\n"


def test_ctrl_c_ends_a_tool_with_one_line(capsys):
    def main():
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as exit_info:
        run_tool(main)
    assert exit_info.value.code == 130
    assert capsys.readouterr().err == "stopped by Ctrl-C\n"
