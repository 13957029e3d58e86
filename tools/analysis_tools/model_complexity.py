"""Parameters and FLOPs of a config's model: python tools/analysis_tools/model_complexity.py CONFIG."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from rich.table import Table

from mmseg_mllm.engine.cli import check_config_path, config_parser, run_tool
from mmseg_mllm.tables.console import plain_console


def parse_args() -> argparse.Namespace:
    parser = config_parser(
        "Count parameters and FLOPs; nothing is downloaded, no data or weights are needed."
    )
    parser.add_argument(
        "--sentences", metavar="FILE", help="also count for the expressions of images in a JSON (see docs)"
    )
    args = parser.parse_args()
    check_config_path(args.config)
    return args


def main() -> None:
    args = parse_args()
    # Torch is imported here, after the arguments were found right.
    from mmseg_mllm.analysis.benchmarks.report import figure_lines
    from mmseg_mllm.analysis.benchmarks.sentence_file import read_sentences, sentence_flops
    from mmseg_mllm.analysis.complexity import BRANCH_TOKENS, PREFIX_TOKENS
    from mmseg_mllm.engine.config import load_config

    model = load_config(args.config, args.cfg_options).get("model", {})
    console = plain_console()
    name = Path(args.config).stem
    console.print(parameter_table(model, name=name))
    console.print("Language model: with its embedding and LM head.\n")
    console.print(flop_table(model, name=name))
    console.print(
        "Inference, LoRA merged; 1 multiply-add = 2 FLOPs. Each expression is asked in a branch of its own.\n"
        f"Text tokens: {PREFIX_TOKENS} besides the image's, then {BRANCH_TOKENS} per expression "
        "(prompt 'mllmseg', RefCOCO's mean of 3.5 words)."
    )
    if args.sentences:
        console.print(f"\nThe expressions of {args.sentences}, a word a token:")
        console.print("\n".join(figure_lines(sentence_flops(model, read_sentences(args.sentences)))))


def parameter_table(model: dict, *, name: str) -> Table:
    """Parameters of each part the model has and of the whole, and how many of them are trained."""
    from mmseg_mllm.analysis import build_on_meta, count_parameters

    segmentor = build_on_meta(model)
    counts = count_parameters(segmentor)
    trained = count_parameters(segmentor, trained_only=True)
    result = _table(f"Parameters of {name}", ["part", "M", "exactly", "trained, M", "exactly"])
    for part in filter(counts.get, counts):
        result.add_row(part, *_millions(counts[part]), *_millions(trained[part]))
    result.add_section()
    result.add_row("total", *_millions(sum(counts.values())), *_millions(sum(trained.values())))
    return result


def flop_table(model: dict, *, name: str) -> Table:
    """GFLOPs of an image with one expression, and what a further expression adds."""
    from mmseg_mllm.analysis import build_on_meta, count_flops

    segmentor = build_on_meta(model, merged=True)
    one, two = (count_flops(segmentor, expressions=k) for k in (1, 2))
    size = segmentor.backbone.image_size
    title = f"GFLOPs of {name}, image {size} x {size} ({segmentor.backbone.num_image_tokens(size)} tokens)"
    result = _table(title, ["part", "image with 1 expression", "each further expression"])
    for part in one:
        result.add_row(part, _giga(one[part]), _giga(two[part] - one[part]))
    result.add_section()
    total = sum(one.values())
    result.add_row("total", _giga(total), _giga(sum(two.values()) - total))
    return result


def _table(title: str, columns: Sequence[str]) -> Table:
    """The first column holds names, the others numbers."""
    result = Table(title=title, title_justify="left")
    for k, column in enumerate(columns):
        result.add_column(column, justify="right" if k else "left", overflow="fold")
    return result


def _millions(count: int) -> tuple[str, str]:
    return f"{count / 1e6:,.2f}", f"{count:,}"


def _giga(flops: int) -> str:
    return f"{flops / 1e9:,.2f}"


if __name__ == "__main__":
    run_tool(main)
