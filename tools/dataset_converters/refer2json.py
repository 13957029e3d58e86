"""The REFER layout to one plain JSON file: refer2json.py FOLDER REFS OUT.

Example: python tools/dataset_converters/refer2json.py data/refer/refcoco "refs(unc).p" data/refcoco.json
"""

import argparse
from pathlib import Path

from mmseg_mllm.datasets.refer_conversion import refer_to_json, summary
from mmseg_mllm.engine.cli import run_tool


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="holds instances.json and the refs file")
    parser.add_argument("refs", metavar="REFS", help="name of the refs file, such as 'refs(unc).p'")
    parser.add_argument("out", type=Path, metavar="OUT", help="JSON file to make")
    args = parser.parse_args()
    files, left_out = refer_to_json(folder=args.folder, refs=args.refs, out=args.out)
    print(f"{args.out}: {summary(files)}")
    for line in left_out:
        print(line)


if __name__ == "__main__":
    run_tool(main)
