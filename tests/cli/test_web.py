import os
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def test_it_is_served_until_ctrl_c_and_leaves_nothing(tmp_path):
    pytest.importorskip("gradio", reason="gradio is not installed: no test of the page")
    process = subprocess.Popen(
        [sys.executable, "-m", "mmseg_mllm", "web", "--device", "cpu"],
        env=dict(os.environ, PYTHONPATH=str(ROOT), TMPDIR=str(tmp_path), http_proxy="http://127.0.0.1:9"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        said = process.stdout.readline()
        address = said.removeprefix("the page is at ").removesuffix(" (Ctrl-C ends it)\n")
        assert address.startswith("http://127.0.0.1:")
        with urllib.request.urlopen(address, timeout=60) as page:
            assert b"mmseg_mllm" in page.read()
        (folder,) = tmp_path.iterdir()
        assert folder.name.startswith("mmseg_mllm_web_")
        process.send_signal(signal.SIGINT)
        rest, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert (process.returncode, rest) == (0, "")
    assert errors.splitlines()[-1] == "stopped"
    assert "Traceback" not in errors
    assert not list(tmp_path.iterdir())


def test_a_port_in_use_is_told_of(command):
    pytest.importorskip("gradio", reason="gradio is not installed: no test of the page")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, _, errors = command("web", "--device", "cpu", "--port", str(port))
    assert code == 1
    assert f"error: can't listen on 127.0.0.1, port {port} (Address already in use)" in errors
