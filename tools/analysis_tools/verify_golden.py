"""Compare with numbers of the authors' code: verify_golden.py DIR [--part NAME ...]."""

import argparse
import sys
import time
from pathlib import Path

from mmengine.logging import MMLogger

from mmseg_mllm.engine.cli import run_tool
from mmseg_mllm.golden import PARTS, check_arguments
from mmseg_mllm.tables.console import plain_console


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare this package with numbers of the authors' code.")
    parser.add_argument("folder", type=Path, metavar="DIR", help="reference set")
    parser.add_argument("--part", nargs="+", default=[], metavar="NAME", help=f"of {', '.join(PARTS)}")
    args = parser.parse_args()
    check_arguments(args.folder, args.part)
    # Torch is imported here, after the arguments were found right.
    from mmseg_mllm.golden.checks import checks_table
    from mmseg_mllm.golden.verify import verify

    MMLogger.get_instance("verify_golden", log_level="WARNING")  # the metric logs tables of its own
    console = plain_console()
    start = time.perf_counter()
    checks = []
    for part, found in verify(args.folder, args.part):
        console.print(checks_table(found, title=f"{part}: {args.folder}"))
        checks += found
    failed = [check for check in checks if check.passed is False]
    skipped = [check for check in checks if check.passed is None]
    console.print(
        f"{len(checks) - len(failed) - len(skipped)} passed, {len(failed)} failed, "
        f"{len(skipped)} not compared in {time.perf_counter() - start:.0f} s"
    )
    sys.exit(bool(failed))


if __name__ == "__main__":
    run_tool(main)
