"""Make a toy set for semantic segmentation of rendered shapes, in MMSegmentation's layout.

Example: python tools/dataset_converters/make_toy_semseg.py --out data/toy_semseg --seed 0
"""

import sys

from mmseg_mllm.toy import SEMSEG_COUNTS, ToySemsegArguments, write_toy_semseg
from mmseg_mllm.toy.writing import run_toy_tool


def main() -> int:
    return run_toy_tool(
        description=__doc__,
        default_counts=SEMSEG_COUNTS,
        arguments=ToySemsegArguments,
        write=write_toy_semseg,
    )


if __name__ == "__main__":
    sys.exit(main())
