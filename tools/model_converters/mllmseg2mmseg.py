"""Released MLLMSeg weights to a model folder, or back: mllmseg2mmseg.py SRC DST [--reverse]."""

import argparse
from pathlib import Path

from mmseg_mllm.engine.cli import check_source_folder, run_tool


def main() -> None:
    parser = argparse.ArgumentParser(description="Convert MLLMSeg's released weights to a model folder.")
    parser.add_argument("source", type=Path, metavar="SRC", help="folder as downloaded from the hub")
    parser.add_argument("target", type=Path, metavar="DST", help="folder to make")
    parser.add_argument(
        "--reverse",
        action="store_true",
        help="back from a model folder, of weights that came from the authors or InternVL",
    )
    args = parser.parse_args()
    check_source_folder(args.source)
    # Torch is imported here, after the arguments were found right.
    from mmseg_mllm.conversion.convert import convert_mllmseg
    from mmseg_mllm.conversion.restore import restore_mllmseg

    convert = restore_mllmseg if args.reverse else convert_mllmseg
    print(convert(args.source, args.target).report(args.target))
    if not args.reverse:
        print(f"test it with python tools/test.py configs/mllmseg/CONFIG.py {args.target} --protocol paper")


if __name__ == "__main__":
    run_tool(main)
