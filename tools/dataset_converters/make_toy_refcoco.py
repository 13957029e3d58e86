"""Make a toy RefCOCO and gRefCOCO of rendered shapes, in the layout of the real ones.

Example: python tools/dataset_converters/make_toy_refcoco.py --out data/toy_refcoco --seed 0
"""

import argparse
import sys
from pathlib import Path

from mmseg_mllm.errors import MMSegMLLMError
from mmseg_mllm.toy import DEFAULT_COUNTS, ToyArguments, is_finished, write_toy_refcoco


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="new or empty folder")
    parser.add_argument("--seed", type=int, default=0, help="0 or more (default: 0)")
    for split, count in DEFAULT_COUNTS.items():
        help_text = f"images of {split} (default: {count})"
        parser.add_argument(f"--num-{split}", type=int, default=count, metavar="N", help=help_text)
    return parser.parse_args()


def main() -> int:
    args = parse_args()
    counts = {split: getattr(args, f"num_{split}") for split in DEFAULT_COUNTS}
    try:
        arguments = ToyArguments(seed=args.seed, counts=counts)
        if is_finished(out=args.out, arguments=arguments):
            print(f"{args.out} already holds this toy set; nothing to do")
            return 0
        write_toy_refcoco(out=args.out, seed=args.seed, counts=counts, show_progress=True)
    except MMSegMLLMError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{args.out}: {sum(counts.values())} images written")
    return 0


if __name__ == "__main__":
    sys.exit(main())
