"""The short form of the fault drill; by hand, ``python tests/fault_drill.py`` kills twenty times."""

import subprocess
import sys
from pathlib import Path

DRILL = Path(__file__).parent / "fault_drill.py"


def test_whatever_happens_a_training_ends_as_the_unbroken_one():
    command = [sys.executable, "-W", "ignore", str(DRILL), "--kills", "1", "--short"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert all(line.startswith("ok") for line in lines)
    assert "ok  its weights and optimiser are those of the unbroken run" in lines
    assert "ok  SIGKILL 1 in the middle of a save" in lines
    assert lines[-1] == "ok  at the same step of the optimiser"
