import os
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

pytest.importorskip("uvicorn", reason="the extra label-studio is not installed")
ROOT = Path(__file__).parents[2]


def test_it_serves_until_ctrl_c():
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "mmseg_mllm", "label-studio", "--device", "cpu", "--port", str(port)],
        env=dict(os.environ, PYTHONPATH=os.pathsep.join([str(ROOT), *sys.path])),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert (
            process.stdout.readline()
            == f"Label Studio finds it at http://127.0.0.1:{port} (Ctrl-C ends it)\n"
        )
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=60) as answer:
            assert answer.status == 200
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 0
    assert 'using "tiny"' in errors
    assert "Traceback" not in errors


def test_what_is_wrong_is_told_before_the_model_is_loaded(command, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, _, error = command("label-studio", "--model", "absent", "--port", port)
    assert code == 1
    assert f"error: can't listen on 127.0.0.1, port {port} (Address already in use); give another" in error
    code, _, error = command("label-studio", "--model", "absent", "--port", 99999)
    assert code == 2
    assert "99999 is no port: they go up to 65535" in error
    monkeypatch.setenv("LABEL_STUDIO_URL", "localhost:8080")
    assert "LABEL_STUDIO_URL=localhost:8080: give an address" in command("label-studio")[2]
