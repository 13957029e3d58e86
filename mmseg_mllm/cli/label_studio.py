"""``mmseg-mllm label-studio``: the service that Label Studio asks for masks."""

import argparse
import contextlib
import os
from importlib.util import find_spec

from mmseg_mllm.cli.address_flags import add_address_flags
from mmseg_mllm.cli.model_flags import add_model_flags, load_predictor
from mmseg_mllm.errors import ConfigError
from mmseg_mllm.listening import listen

PORT = 9090


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_model_flags(parser)
    add_address_flags(parser, port=PORT, port_says=str(PORT))


def run(args: argparse.Namespace) -> None:
    if find_spec("starlette") is None or find_spec("uvicorn") is None:
        raise ConfigError("the service needs packages: pip install 'mmseg_mllm[label-studio]'")
    from mmseg_mllm.label_studio.images import TOKEN_VARIABLE, URL_VARIABLE, TaskImages

    images = TaskImages(url=os.environ.get(URL_VARIABLE, ""), token=os.environ.get(TOKEN_VARIABLE, ""))
    listening = listen(args.host, args.port)
    # Torch is imported here, after the arguments were found right.
    import uvicorn

    from mmseg_mllm.label_studio.backend import LabelStudioBackend
    from mmseg_mllm.label_studio.service import label_studio_service

    predictor = load_predictor(args)
    backend = LabelStudioBackend(predictor=predictor, images=images)
    config = uvicorn.Config(label_studio_service(backend))
    print(f"Label Studio finds it at http://{args.host}:{args.port} (Ctrl-C ends it)", flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        uvicorn.Server(config).run(sockets=[listening])
