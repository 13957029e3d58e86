"""Parameters and FLOPs of models: python tools/analysis_tools/model_complexity.py CONFIG [CONFIG ...]."""

import argparse
import sys
from pathlib import Path

from mmseg_mllm.engine.cli import add_cfg_options, check_config_path, made_by, run_tool
from mmseg_mllm.tables.output import add_table_flags, check_table_flags, write_tables
from mmseg_mllm.tables.table import ResultTable


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Count parameters and FLOPs of a model by part, or of several side by side, with their "
        "memory. Nothing is downloaded, no data or weights are needed."
    )
    parser.add_argument("configs", nargs="+", metavar="CONFIG", help="config files; one is told by part")
    parser.add_argument(
        "--image-sizes",
        type=int,
        nargs="+",
        metavar="PIXELS",
        help="side by side at these sides of the input, instead of the configs' own",
    )
    parser.add_argument(
        "--sentences",
        metavar="FILE",
        help="also count for the expressions of images in a JSON (see docs); for one config",
    )
    add_cfg_options(parser)
    add_table_flags(parser)
    args = parser.parse_args()
    args.by_part = len(args.configs) == 1 and not args.image_sizes
    if args.sentences and not args.by_part:
        parser.error("--sentences is for one config, without --image-sizes")
    check_table_flags(args)
    for path in args.configs:
        check_config_path(path)
    return args


def main() -> None:
    args = parse_args()
    found = tables_by_part(args) if args.by_part else [table_side_by_side(args)]
    write_tables(found, args, made_by=made_by())


def tables_by_part(args: argparse.Namespace) -> list[ResultTable]:
    # Torch is imported here, after the arguments were found right.
    from mmseg_mllm.analysis.benchmarks.report import figure_table
    from mmseg_mllm.analysis.benchmarks.sentence_file import read_sentences, sentence_flops
    from mmseg_mllm.engine.config import load_config

    (path,) = args.configs
    model = load_config(path, args.cfg_options).get("model", {})
    name = Path(path).stem
    found = [parameter_table(model, name=name), flop_table(model, name=name)]
    if args.sentences:
        title = f"The expressions of {args.sentences}, a word a token"
        found.append(figure_table(title, sentence_flops(model, read_sentences(args.sentences))))
    return found


def table_side_by_side(args: argparse.Namespace) -> ResultTable:
    """A row for each config, or for each and each size."""
    from mmseg_mllm.analysis.model_costs import model_costs, training_way
    from mmseg_mllm.engine.config import load_config

    sizes = [{"model.backbone.image_size": size} for size in args.image_sizes or []] or [{}]
    rows, ways = [], set()
    for path in args.configs:
        for size in sizes:
            config = load_config(path, {**(args.cfg_options or {}), **size})
            rows.append(model_costs(config, name=Path(path).stem))
            way = training_way(config)
            ways.add(f"{way.images} images x {way.expressions} expressions, {way.dtype}")
            print(f"{path}: {rows[-1]['input']} pixels", file=sys.stderr)
    return ResultTable(
        title="Costs of models",
        names=["config"],
        rows=rows,
        caption="LoRA merged, but for training and what is trained. 1 multiply-add = 2 FLOPs.\n"
        "GB (10^9 bytes): of a GPU at the peak. Inference: 1 image, 1 expression.\n"
        f"Training, with optimiser: {', or '.join(sorted(ways))}.",
    )


def parameter_table(model: dict, *, name: str) -> ResultTable:
    """Parameters of each part the model has and of the whole, and how many of them are trained."""
    from mmseg_mllm.analysis import build_on_meta, count_parameters

    segmentor = build_on_meta(model)
    counts = count_parameters(segmentor)
    trained = count_parameters(segmentor, trained_only=True)

    def row(part: str, of_all: int, of_trained: int) -> dict:
        return {
            **{"part": part, "M": of_all / 1e6, "parameters": of_all},
            **{"trained, M": of_trained / 1e6, "trained": of_trained},
        }

    return ResultTable(
        title=f"Parameters of {name}",
        names=["part"],
        rows=[row(part, counts[part], trained[part]) for part in filter(counts.get, counts)],
        total=row("total", sum(counts.values()), sum(trained.values())),
        caption="Language model: with its embedding and LM head.",
    )


def flop_table(model: dict, *, name: str) -> ResultTable:
    """GFLOPs of an image with one expression, and what a further expression adds."""
    from mmseg_mllm.analysis import build_on_meta, count_flops
    from mmseg_mllm.analysis.complexity import BRANCH_TOKENS, PREFIX_TOKENS
    from mmseg_mllm.input_size import size_text

    segmentor = build_on_meta(model, merged=True)
    one, two = (count_flops(segmentor, expressions=k) for k in (1, 2))
    size = segmentor.backbone.image_size
    tokens = segmentor.backbone.num_image_tokens(size)

    def row(part: str, first: int, both: int) -> dict:
        further = (both - first) / 1e9
        return {"part": part, "image with 1 expression": first / 1e9, "each further expression": further}

    return ResultTable(
        title=f"GFLOPs of {name}, image {size_text(size)} ({tokens} tokens)",
        names=["part"],
        rows=[row(part, one[part], two[part]) for part in one],
        total=row("total", sum(one.values()), sum(two.values())),
        caption="Inference, LoRA merged; 1 multiply-add = 2 FLOPs. Each expression has a branch of its own.\n"
        f"Text tokens: {PREFIX_TOKENS} besides the image's, then {BRANCH_TOKENS} per expression "
        "(prompt 'mllmseg', RefCOCO's mean of 3.5 words).",
    )


if __name__ == "__main__":
    run_tool(main)
