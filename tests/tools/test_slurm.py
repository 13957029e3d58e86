"""The Slurm script against commands that stand for Slurm's."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def slurm(tmp_path):
    """Run the script; gives its exit code and the calls of srun and scontrol. srun exits with the given
    codes."""

    def run(codes: list[int], **variables: str) -> tuple[int, list[str]]:
        log, codes_file = tmp_path / "log", tmp_path / "codes"
        codes_file.write_text("".join(f"{code}\n" for code in codes))
        srun = f'echo "srun $*" >> {log}; code=$(head -1 {codes_file}); sed -i 1d {codes_file}; exit $code'
        for name, body in (("srun", srun), ("scontrol", f'echo "scontrol $*" >> {log}')):
            (tmp_path / name).write_text(f"#!/bin/bash\n{body}\n")
            (tmp_path / name).chmod(0o755)
        done = subprocess.run(
            ["tools/slurm_train.sh", "part", "job", "config.py", "--amp"],
            cwd=ROOT,
            env=dict(os.environ, PATH=f"{tmp_path}:{os.environ['PATH']}", PYTHON=sys.executable, **variables),
            check=False,
            timeout=60,
        )
        return done.returncode, log.read_text().splitlines()

    return run


def test_a_saved_run_goes_on_in_a_new_allocation(slurm):
    code, calls = slurm([75, 75, 0])
    assert code == 0
    assert [call.count("--resume") for call in calls] == [0, 1, 1]
    assert all("--signal=USR1@120" in call and call.endswith("--launcher slurm") for call in calls)


def test_a_batch_job_is_queued_again(slurm):
    code, calls = slurm([75], SLURM_JOB_ID="77")
    assert (code, calls[1:]) == (0, ["scontrol requeue 77"])
    (call,) = slurm([0], SLURM_JOB_ID="77", SLURM_RESTART_COUNT="1")[1][2:]
    assert "config.py --amp --resume" in call


def test_an_error_is_none_to_go_on_from(slurm):
    code, calls = slurm([1])
    assert (code, len(calls)) == (1, 1)
