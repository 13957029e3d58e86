"""Where a subcommand listens."""

import argparse

from mmseg_mllm.cli.model_flags import at_least_one

HERE = "127.0.0.1"


def add_address_flags(parser: argparse.ArgumentParser, *, port: int | None, port_says: str) -> None:
    """Add ``--host`` and ``--port``.

    Args:
        parser: Changed in place.
        port: Default.
        port_says: The default, in words.
    """
    parser.add_argument(
        "--host",
        default=HERE,
        help=f"address to listen on (default: {HERE}, this machine alone); 0.0.0.0 for all who reach it",
    )
    parser.add_argument("--port", type=_port, default=port, help=f"(default: {port_says})")


def _port(text: str) -> int:
    port = at_least_one(text)
    if port > 65535:
        raise argparse.ArgumentTypeError(f"{text} is no port: they go up to 65535")
    return port
