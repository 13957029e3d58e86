"""A fresh interpreter, for what happens at the first import."""

import subprocess
import sys
import textwrap


def run_fresh(code: str) -> str:
    """What this code prints."""
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()
