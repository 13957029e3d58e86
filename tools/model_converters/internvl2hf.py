"""An original InternVL2 or InternVL2.5 folder to a native transformers folder: internvl2hf.py SRC DST."""

import argparse
from pathlib import Path

from mmseg_mllm.engine.cli import check_source_folder, run_tool


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Convert an original InternVL folder to native transformers."
    )
    parser.add_argument("source", type=Path, metavar="SRC", help="folder as downloaded from the hub")
    parser.add_argument("target", type=Path, metavar="DST", help="folder to make")
    args = parser.parse_args()
    check_source_folder(args.source)
    # Torch is imported here, after the arguments were found right.
    from mmseg_mllm.conversion.convert import convert_internvl

    print(convert_internvl(args.source, args.target).report(args.target))
    print(f"use it with --cfg-options model.backbone.pretrained={args.target}")


if __name__ == "__main__":
    run_tool(main)
