"""Parameters and FLOPs of a config's model: python tools/analysis_tools/model_complexity.py CONFIG."""

import argparse
from pathlib import Path

from mmseg_mllm.engine.cli import check_config_path, config_parser, made_by, run_tool
from mmseg_mllm.tables.output import add_table_flags, check_table_flags, write_tables
from mmseg_mllm.tables.table import ResultTable


def parse_args() -> argparse.Namespace:
    parser = config_parser(
        "Count parameters and FLOPs; nothing is downloaded, no data or weights are needed."
    )
    parser.add_argument(
        "--sentences", metavar="FILE", help="also count for the expressions of images in a JSON (see docs)"
    )
    add_table_flags(parser)
    args = parser.parse_args()
    check_table_flags(args)
    check_config_path(args.config)
    return args


def main() -> None:
    args = parse_args()
    # Torch is imported here, after the arguments were found right.
    from mmseg_mllm.analysis.benchmarks.report import figure_table
    from mmseg_mllm.analysis.benchmarks.sentence_file import read_sentences, sentence_flops
    from mmseg_mllm.engine.config import load_config

    model = load_config(args.config, args.cfg_options).get("model", {})
    name = Path(args.config).stem
    found = [parameter_table(model, name=name), flop_table(model, name=name)]
    if args.sentences:
        title = f"The expressions of {args.sentences}, a word a token"
        found.append(figure_table(title, sentence_flops(model, read_sentences(args.sentences))))
    write_tables(found, args, made_by=made_by())


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
