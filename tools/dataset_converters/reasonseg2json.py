"""ReasonSeg, as LISA publishes it, to one JSON file: reasonseg2json.py ROOT OUT.

Images stay in ROOT, which holds train/, val/ and test/, or some of them.

Example: python tools/dataset_converters/reasonseg2json.py data/ReasonSeg data/ReasonSeg/reasonseg.json
"""

import argparse
from pathlib import Path

from mmseg_mllm.datasets.converters import reason_seg_to_json
from mmseg_mllm.datasets.refer_conversion import summary
from mmseg_mllm.engine.cli import run_tool


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("root", type=Path, metavar="ROOT", help="folder of the splits")
    parser.add_argument("out", type=Path, metavar="OUT", help="JSON file to make")
    args = parser.parse_args()
    files, notes = reason_seg_to_json(root=args.root, out=args.out)
    print(f"{args.out}: {summary(files)}")
    for note in notes:
        print(note)


if __name__ == "__main__":
    run_tool(main)
