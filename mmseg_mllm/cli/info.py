"""``mmseg-mllm info``: what a model is."""

import argparse
import json


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="model folder, hub name, or packaged model")
    parser.add_argument("--revision", help="branch, tag or commit of a hub name")
    parser.add_argument("--json", action="store_true", help="for programs")


def run(args: argparse.Namespace) -> None:
    # Torch is imported here, after the arguments were found right.
    from mmseg_mllm.conversion.description import describe_model
    from mmseg_mllm.hub import find_model
    from mmseg_mllm.input_size import size_text

    facts = describe_model(find_model(args.name, revision=args.revision))
    if args.json:
        print(json.dumps(facts, indent=2, ensure_ascii=False))
        return
    width = max(map(len, facts))
    for name, value in facts.items():
        shown = f"{value:,}" if isinstance(value, int) and value >= 10_000 else value
        shown = size_text(value) if isinstance(value, tuple) else shown
        print(f"{name.replace('_', ' '):{width}}  {'-' if shown is None else shown}")
