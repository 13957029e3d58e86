"""The command ``mmseg-mllm``, also ``python -m mmseg_mllm``.

Each subcommand is a module of this package with two functions: ``add_arguments(parser)``, and ``run(args)``
for what was parsed. Only the one in use is imported; none imports torch before its arguments are found right.
"""

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module

from mmseg_mllm.version import __version__

COMMANDS = dict(
    segment="masks for sentences in images, folders and lists",
    web="a page in the browser: drop an image, write sentences, see masks",
    **{"label-studio": "the service that Label Studio asks for masks"},
    info="what a model is: base, parameters, prompt, protocol, sizes",
    convert="weights of MLLMSeg's authors, InternVL or an own checkpoint to a model folder",
    configs="the configs that come with the package: list them, copy one",
    train="train a model",
    test="test a model",
)
"""Subcommands with what --help says of them."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command; by default with the arguments of this process."""
    arguments = sys.argv[1:] if arguments is None else arguments
    parser = argparse.ArgumentParser(
        prog="mmseg-mllm", description="Masks for sentences, with multimodal LLMs."
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(metavar="COMMAND", dest="command", required=True)
    for name, says in COMMANDS.items():
        command = commands.add_parser(name, help=says, description=f"{says[0].upper()}{says[1:]}.")
        if name in arguments[:1]:
            _fill(command, name)
    _run(parser.parse_args(arguments))


def run_alone(name: str) -> None:
    """Run a subcommand in a script of its own."""
    says = COMMANDS[name]
    parser = argparse.ArgumentParser(description=f"{says[0].upper()}{says[1:]}.")
    _fill(parser, name)
    _run(parser.parse_args())


def _fill(parser: argparse.ArgumentParser, name: str) -> None:
    module = import_module(f"{__name__}.{name.replace('-', '_')}")
    module.add_arguments(parser)
    parser.set_defaults(run=module.run)


def _run(args: argparse.Namespace) -> None:
    from mmseg_mllm.engine.cli import run_tool

    run_tool(lambda: args.run(args))
