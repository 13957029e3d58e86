"""Make a toy RefCOCO and gRefCOCO of rendered shapes, in the layout of the real ones.

Example: python tools/dataset_converters/make_toy_refcoco.py --out data/toy_refcoco --seed 0
"""

import sys

from mmseg_mllm.toy import DEFAULT_COUNTS, ToyArguments, write_toy_refcoco
from mmseg_mllm.toy.writing import run_toy_tool


def main() -> int:
    return run_toy_tool(
        description=__doc__,
        default_counts=DEFAULT_COUNTS,
        arguments=ToyArguments,
        write=write_toy_refcoco,
    )


if __name__ == "__main__":
    sys.exit(main())
