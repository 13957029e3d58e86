import subprocess
import sys

import pytest

from mmseg_mllm.cli import COMMANDS


@pytest.mark.parametrize("arguments", [[], *([name] for name in COMMANDS)], ids=["all", *COMMANDS])
def test_help_imports_no_torch(arguments):
    code = (
        "import atexit, sys; from mmseg_mllm.cli import main; "
        f"atexit.register(lambda: print('torch' in sys.modules)); main({[*arguments, '--help']})"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    *said, torch = result.stdout.splitlines()
    assert torch == "False"
    assert said[0].startswith(" ".join(["usage: mmseg-mllm", *arguments]))


def test_mistakes_of_use(command):
    for arguments, message in (
        ([], "required: COMMAND"),
        (["nothing"], "invalid choice: 'nothing'"),
        (["segment", "x.jpg", "--batch", "0"], "no whole number from 1"),
        (["segment", "x.jpg", "--save", "masks"], "none of overlay, mask"),
    ):
        code, _, error = command(*arguments)
        assert code == 2
        assert message in error
    for arguments, message in (
        (["segment", "nothing.jpg"], "error: nothing is asked"),
        (["segment", "nothing.jpg", "-q", "dog"], "error: nothing.jpg: no such image"),
    ):
        code, _, error = command(*arguments)
        assert code == 1
        assert message in error
