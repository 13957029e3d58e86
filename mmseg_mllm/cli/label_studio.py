"""``mmseg-mllm label-studio``: the service that Label Studio asks for masks."""

import argparse
import contextlib
import os
import socket
from importlib.util import find_spec

from mmseg_mllm.cli.model_flags import DEFAULT_MODEL, add_model_flags, at_least_one, tell_default_model
from mmseg_mllm.errors import ConfigError

HERE, PORT = "127.0.0.1", 9090


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_model_flags(parser)
    parser.add_argument(
        "--host",
        default=HERE,
        help=f"address to listen on (default: {HERE}, this machine alone); 0.0.0.0 for all who reach it",
    )
    parser.add_argument("--port", type=at_least_one, default=PORT, help=f"(default: {PORT})")


def run(args: argparse.Namespace) -> None:
    if find_spec("starlette") is None or find_spec("uvicorn") is None:
        raise ConfigError("the service needs packages: pip install 'mmseg_mllm[label-studio]'")
    from mmseg_mllm.label_studio.images import TOKEN_VARIABLE, URL_VARIABLE, TaskImages

    images = TaskImages(url=os.environ.get(URL_VARIABLE, ""), token=os.environ.get(TOKEN_VARIABLE, ""))
    listening = _listen(args.host, args.port)
    # Torch is imported here, after the arguments were found right.
    import uvicorn

    from mmseg_mllm.apis import RESPredictor
    from mmseg_mllm.label_studio.backend import LabelStudioBackend
    from mmseg_mllm.label_studio.service import label_studio_service

    if args.model is None:
        tell_default_model()
    predictor = RESPredictor.from_pretrained(
        args.model or DEFAULT_MODEL, device=args.device, revision=args.revision, image_size=args.image_size
    )
    backend = LabelStudioBackend(predictor=predictor, images=images)
    config = uvicorn.Config(label_studio_service(backend))
    print(f"Label Studio finds it at http://{args.host}:{args.port} (Ctrl-C ends it)", flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        uvicorn.Server(config).run(sockets=[listening])


def _listen(host: str, port: int) -> socket.socket:
    """Before the model is loaded, so that a port in use is told at once."""
    listening = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen()
    except (OSError, OverflowError) as error:
        listening.close()
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(
            f"can't listen on {host}, port {port} ({reason}); give another --host or --port"
        ) from None
    return listening
