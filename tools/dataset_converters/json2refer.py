"""A referring JSON (docs/custom_data.md) to the REFER layout: json2refer.py JSON FOLDER.

Example: python tools/dataset_converters/json2refer.py data/mine/annotations.json data/refer/mine
"""

import argparse
from pathlib import Path

from mmseg_mllm.datasets.refer_conversion import json_to_refer, summary
from mmseg_mllm.engine.cli import run_tool


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("path", type=Path, metavar="JSON", help="file with images, annotations, expressions")
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="folder to make")
    args = parser.parse_args()
    files, refs = json_to_refer(path=args.path, folder=args.folder)
    print(f"{args.folder}: instances.json and {refs}; {summary(files)}")


if __name__ == "__main__":
    run_tool(main)
