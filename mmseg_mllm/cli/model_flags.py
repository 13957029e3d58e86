"""Flags of all subcommands that ask a model."""

import argparse
import sys
from typing import TYPE_CHECKING

from mmseg_mllm.input_size import InputSize, input_size

if TYPE_CHECKING:
    from mmseg_mllm.apis import RESPredictor

DEFAULT_MODEL = "tiny"


def add_model_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--model",
        metavar="NAME",
        help=f"model folder, hub name, or packaged model (default: {DEFAULT_MODEL})",
    )
    parser.add_argument("--revision", help="branch, tag or commit of a hub name")
    parser.add_argument(
        "--image-size",
        type=_input_size,
        metavar="PIXELS",
        help="side of the model's input, or HEIGHTxWIDTH; larger is finer",
    )
    parser.add_argument("--device", help="such as cpu or cuda:1 (default: a GPU if there is one)")


def tell_default_model() -> None:
    """Say on the error output which model is used where none was named."""
    print(f'no --model given: using "{DEFAULT_MODEL}", the one that comes with the package', file=sys.stderr)


def load_predictor(args: argparse.Namespace) -> "RESPredictor":
    """The predictor that the flags of :func:`add_model_flags` name."""
    from mmseg_mllm.apis import RESPredictor

    if args.model is None:
        tell_default_model()
    return RESPredictor.from_pretrained(
        args.model or DEFAULT_MODEL, device=args.device, revision=args.revision, image_size=args.image_size
    )


def _input_size(text: str) -> InputSize:
    sides = [at_least_one(side) for side in text.lower().split("x")]
    if len(sides) > 2:
        raise argparse.ArgumentTypeError(f"{text!r} is neither a side nor HEIGHTxWIDTH, such as 384x672")
    return input_size([sides[0], sides[-1]])


def at_least_one(text: str) -> int:
    """Type of a flag that takes whole numbers from 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 1")
    return int(text)
