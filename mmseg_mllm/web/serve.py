"""Serving the page."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from mmseg_mllm.apis import RESPredictor
from mmseg_mllm.errors import ConfigError
from mmseg_mllm.web.asking import Asker
from mmseg_mllm.web.page import build_page
from mmseg_mllm.web.style import CSS, THEME

MAX_UPLOAD_BYTES = 32 * 2**20
MAX_SESSIONS = 64
"""Whose results are held; those of the least recently used go first."""


@contextlib.contextmanager
def page_server(
    *, predictor: RESPredictor, model: str, host: str = "127.0.0.1", port: int | None = None
) -> Iterator[str]:
    """Serve the page for the block, from threads of this process; gives its address.

    Uploads lie in a folder of their own that goes with the block.

    Args:
        predictor: Answers.
        model: What is said of the model, Markdown.
        host: Address to listen on; '0.0.0.0' for all of the machine.
        port: The first free one from 7860 by default.

    Raises:
        ConfigError: nothing can listen there.
    """
    with _own_folder() as folder:
        page = build_page(asker=Asker(predictor=predictor), model=model, files=folder)
        try:
            _, address, _ = page.launch(
                server_name=host,
                server_port=port,
                share=False,
                prevent_thread_lock=True,
                quiet=True,
                max_file_size=MAX_UPLOAD_BYTES,
                state_session_capacity=MAX_SESSIONS,
                footer_links=[],
                run_history=False,
                enable_monitoring=False,
                ssr_mode=False,
                mcp_server=False,
                theme=THEME,
                css=CSS,
            )
        except OSError:
            where = f"{host}, port {port}" if port else f"{host}, ports 7860 to 7959"
            raise ConfigError(
                f"can't listen on {where}: in use, not allowed, or no address of this machine; give another "
                "--port or --host"
            ) from None
        try:
            yield address
        finally:
            page.close(verbose=False)


@contextlib.contextmanager
def _own_folder() -> Iterator[Path]:
    """A folder that Gradio takes for the block; it reads the place from the environment alone."""
    name = "GRADIO_TEMP_DIR"
    before = os.environ.get(name)
    with tempfile.TemporaryDirectory(prefix="mmseg_mllm_web_") as folder:
        os.environ[name] = folder
        try:
            yield Path(folder)
        finally:
            if before is None:
                del os.environ[name]
            else:
                os.environ[name] = before
