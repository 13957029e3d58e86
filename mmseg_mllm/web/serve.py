"""Serving the page."""

import contextlib
import os
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from mmseg_mllm.apis import RESPredictor
from mmseg_mllm.errors import ConfigError
from mmseg_mllm.listening import listen
from mmseg_mllm.web.asking import Asker

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
    # Gradio takes whatever is wrong with an address for a port in use, and tries a hundred others.
    listen(host, port or 0).close()
    with _own_folder(host) as folder:
        # Gradio takes some of its folders when it is imported.
        from mmseg_mllm.web.page import build_page
        from mmseg_mllm.web.style import CSS, THEME

        page = build_page(asker=Asker(predictor=predictor), model=model, files=folder)
        try:
            _, address, _ = page.launch(
                server_name=f"[{host}]" if ":" in host else host,
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
        except OSError as error:
            raise ConfigError(f"can't listen on {host} ({error})") from None
        try:
            yield address
        finally:
            page.close(verbose=False)


@contextlib.contextmanager
def _own_folder(host: str) -> Iterator[Path]:
    """A folder that Gradio takes for the block.

    It reads its place from the environment alone; and a proxy, through which it would not reach itself.
    """
    around_proxy = ("localhost", host, *filter(None, [urllib.request.getproxies().get("no")]))
    with tempfile.TemporaryDirectory(prefix="mmseg_mllm_web_") as folder:
        meanwhile = dict(GRADIO_TEMP_DIR=folder, no_proxy=",".join(around_proxy))
        before = {name: os.environ.get(name) for name in meanwhile}
        os.environ.update(meanwhile)
        try:
            yield Path(folder)
        finally:
            for name, value in before.items():
                os.environ.pop(name)
                if value is not None:
                    os.environ[name] = value
