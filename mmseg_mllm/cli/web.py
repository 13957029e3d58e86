"""``mmseg-mllm web``: a page in the browser."""

import argparse
import signal
import sys
import threading
from importlib.util import find_spec

from mmseg_mllm.cli.address_flags import add_address_flags
from mmseg_mllm.cli.model_flags import add_model_flags, load_predictor
from mmseg_mllm.errors import ConfigError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_model_flags(parser)
    add_address_flags(parser, port=None, port_says="the first free one from 7860")


def run(args: argparse.Namespace) -> None:
    if find_spec("gradio") is None:
        raise ConfigError("the page needs Gradio: pip install 'mmseg_mllm[web]'")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # uploads are removed then as well
    try:
        _serve(args)
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)


def _serve(args: argparse.Namespace) -> None:
    # Imported after the arguments were found right.
    from mmseg_mllm.web.serve import page_server

    predictor = load_predictor(args)
    says = _says(args.model)
    with page_server(predictor=predictor, model=says, host=args.host, port=args.port) as address:
        print(f"the page is at {address} (Ctrl-C ends it)", flush=True)
        threading.Event().wait()


def _says(model: str | None) -> str:
    if model is None:
        return "Model: **tiny**, which comes with the package. It knows drawn shapes and nothing else."
    return f"Model: **{model}**"
