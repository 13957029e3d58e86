"""RefCOCO-M, or RefCOCO's copies of the hub, to one JSON file with images: parquet2json.py SOURCE OUT.

SOURCE is a folder of parquet files as downloaded, or one file. Needs pip install 'mmseg_mllm[parquet]'.

Example: python tools/dataset_converters/parquet2json.py downloads/refcoco-m data/refcoco-m
"""

import argparse
from pathlib import Path

from mmseg_mllm.datasets.converters import parquet_to_json
from mmseg_mllm.datasets.refer_conversion import summary
from mmseg_mllm.engine.cli import run_tool


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "source", type=Path, metavar="SOURCE", help="parquet file, or folder of parquet files"
    )
    parser.add_argument("out", type=Path, metavar="OUT", help="folder to make: annotations.json and images/")
    args = parser.parse_args()
    files, notes = parquet_to_json(source=args.source, out=args.out)
    print(f"{args.out}: {summary(files)}")
    for note in notes:
        print(note)


if __name__ == "__main__":
    run_tool(main)
