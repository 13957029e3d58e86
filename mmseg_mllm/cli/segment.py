"""``mmseg-mllm segment``: masks for sentences in many images."""

import argparse
import sys
from pathlib import Path

from mmseg_mllm.batch.settings import SAVES
from mmseg_mllm.cli.model_flags import DEFAULT_MODEL, add_model_flags, at_least_one, tell_default_model
from mmseg_mllm.errors import ConfigError
from mmseg_mllm.models.segmentors.protocols import PROTOCOLS

DEFAULT_OUT, DEFAULT_SAVES, DEFAULT_BATCH = "segmented", "overlay,mask,coco", 8


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "images",
        nargs="+",
        metavar="IMAGES",
        help="image files, folders, patterns such as 'photos/**/*.jpg', URLs, or text files (*.txt) with one "
        "of these paths in a line",
    )
    parser.add_argument(
        "-q", "--query", action="append", default=[], metavar="TEXT", help="a sentence; may be repeated"
    )
    parser.add_argument("--queries", type=Path, metavar="FILE", help="text file with one sentence in a line")
    add_model_flags(parser)
    parser.add_argument(
        "--out",
        type=Path,
        default=DEFAULT_OUT,
        metavar="DIR",
        help=f"folder of the results (default: {DEFAULT_OUT}); a run that was stopped goes on there",
    )
    parser.add_argument(
        "--save",
        type=_saves,
        default=DEFAULT_SAVES,
        metavar="WHAT,...",
        help=f"of {', '.join(SAVES)}, beside results.jsonl (default: {DEFAULT_SAVES}; '' for nothing)",
    )
    parser.add_argument("--protocol", choices=PROTOCOLS, help="how is asked (default: the model's own)")
    parser.add_argument(
        "--batch",
        type=at_least_one,
        default=DEFAULT_BATCH,
        metavar="N",
        help=f"images that go through the model together (default: {DEFAULT_BATCH})",
    )


def run(args: argparse.Namespace) -> None:
    from mmseg_mllm.batch.expressions import read_expressions
    from mmseg_mllm.batch.images import find_images

    expressions = read_expressions(args.query, args.queries)
    images = find_images(args.images, leave_out=args.out)
    if not images:
        raise ConfigError(f"all images lie in --out {args.out}, the folder of the results; give another one")
    # Torch is imported here, after the arguments were found right.
    from mmseg_mllm.batch.job import SegmentJob

    job = SegmentJob(
        images=images,
        expressions=expressions,
        model=args.model or DEFAULT_MODEL,
        revision=args.revision,
        protocol=args.protocol,
        image_size=args.image_size,
        device=args.device,
        out=args.out,
        saves=args.save,
        batch_size=args.batch,
    )
    if args.model is None and job.processes.is_first:
        tell_default_model()
    try:
        complete = job.run()
    except KeyboardInterrupt:
        print(f"stopped; the same command goes on from {args.out}", file=sys.stderr)
        sys.exit(130)
    sys.exit(0 if complete else 1)


def _saves(text: str) -> list[str]:
    wanted = [name for name in text.split(",") if name]
    unknown = [name for name in wanted if name not in SAVES]
    if unknown:
        raise argparse.ArgumentTypeError(f"{unknown[0]!r} is none of {', '.join(SAVES)}")
    return [name for name in SAVES if name in wanted]
