"""Where two runs differ most: compare_results.py A.json B.json [--out DIR] [--num N]."""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from rich.console import Console
from rich.progress import track

from mmseg_mllm.datasets.images import read_rgb
from mmseg_mllm.engine.cli import made_by, run_tool
from mmseg_mllm.errors import ConfigError, DataError
from mmseg_mllm.evaluation.comparison import Pair, most_different, paired, summary
from mmseg_mllm.evaluation.predictions import PredictionFile, mask_of, read_predictions
from mmseg_mllm.tables.output import add_table_flags, check_table_flags, write_tables
from mmseg_mllm.tables.table import ResultTable, say_once


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Compare two files of tools/test.py --out on the same test set: which expressions the "
        "second run (B) masks better or worse than the first (A), by IoU with the target."
    )
    parser.add_argument("a", metavar="A.json", help="predictions of the first run")
    parser.add_argument("b", metavar="B.json", help="predictions of the second run")
    parser.add_argument("--out", help="draw the listed expressions into this folder")
    parser.add_argument("--num", type=int, default=12, help="how many expressions (default 12)")
    add_table_flags(parser)
    args = parser.parse_args()
    check_table_flags(args)
    if args.num < 1:
        raise ConfigError(f"--num must be at least 1, got {args.num}")
    return args


def main() -> None:
    args = parse_args()
    runs = {"A": read_predictions(args.a), "B": read_predictions(args.b)}
    pairs = paired(runs["A"], runs["B"])
    chosen = most_different(pairs, count=args.num)
    found = [summary_table(pairs, runs), *([list_table(chosen)] if chosen else [])]
    console = write_tables(found, args, made_by=made_by())
    if runs["A"].protocol != runs["B"].protocol:
        console.print("note: the protocols differ, and figures of different protocols are not comparable")
    if not chosen:
        console.print("no expression differs")
    if args.out:
        draw(chosen, runs=runs, folder=Path(args.out), console=console)
        console.print(f"pictures: {args.out}", soft_wrap=True)


def summary_table(pairs: Sequence[Pair], runs: Mapping[str, PredictionFile]) -> ResultTable:
    """Both runs on each dataset split."""
    splits: dict[tuple[str, str], list[Pair]] = {}
    for pair in pairs:
        splits.setdefault((pair.a.dataset, pair.a.split), []).append(pair)
    rows = []
    for (dataset, split), own in splits.items():
        found = summary(own)
        rows.append(
            {
                **dict(dataset=dataset, split=split, expressions=found.expressions),
                **{"A": found.mean_a, "B": found.mean_b, "B - A": found.mean_b - found.mean_a},
                **{"B better": found.better, "B worse": found.worse, "equal": found.equal},
            }
        )
    return ResultTable(
        title="Mean IoU in percent, and on how many expressions B is better",
        names=["dataset", "split"],
        rows=rows,
        caption="\n".join(
            [
                *(f"{name}: {run.path}, protocol: {run.protocol}" for name, run in runs.items()),
                "mean IoU: mIoU of RES, gIoU of GRES with rejection: paper",
            ]
        ),
    )


def list_table(pairs: Sequence[Pair]) -> ResultTable:
    """Expressions, numbered as their pictures are."""
    names = ["no.", "dataset", "split", "image", "sentence", "expression"]
    rows = []
    for number, pair in enumerate(pairs, start=1):
        key = pair.a.key
        about = (str(number), key.dataset, key.split, str(key.image_id), str(key.sent_id), key.expression)
        ious = {"A": 100 * pair.a.iou, "B": 100 * pair.b.iou, "B - A": 100 * pair.gain}
        rows.append(dict(zip(names, about, strict=True)) | ious)
    table = ResultTable(title="Where they differ most: IoU in percent", names=names, rows=rows)
    return say_once(table, ["dataset", "split"])


def draw(
    pairs: Sequence[Pair], *, runs: Mapping[str, PredictionFile], folder: Path, console: Console
) -> None:
    """Write one picture for each pair, an image at a time."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{folder}: pictures can't be written there ({error.strerror})") from None
    bar = track(pairs, "pictures", console=console, transient=True, disable=not console.is_terminal)
    for number, pair in enumerate(bar, start=1):
        key = pair.a.key
        name = f"{number:03}_{key.dataset}_{key.split}_{key.image_id}_{key.sent_id}.png".replace("/", "_")
        Image.fromarray(page_of(pair, runs)).save(folder / name)


def page_of(pair: Pair, runs: Mapping[str, PredictionFile]) -> np.ndarray:
    """The picture of one expression."""
    from mmseg_mllm.visualization.comparison import RunMask, draw_comparison

    if not Path(pair.a.image_path).is_file():
        raise DataError(
            f"{pair.a.image_path}: no such image; run this where tools/test.py ran, with its data"
        )
    image = read_rgb(pair.a.image_path, upright=pair.a.upright)
    size = dict(height=image.shape[0], width=image.shape[1])
    target, masks = None, []
    if pair.a.target is not None:
        target = mask_of(pair.a.target, **size, place=f"{runs['A'].path}: target of {pair.a.key}")
    for (name, run), prediction in zip(runs.items(), (pair.a, pair.b), strict=True):
        mask = mask_of(prediction.segmentation, **size, place=f"{run.path}: {prediction.key}")
        if target is None and prediction.rejected:  # then the verdict counts, and not what was drawn
            mask = np.zeros_like(mask)
        masks.append(RunMask(name=name, mask=mask, iou=prediction.iou, rejected=prediction.rejected))
    key = pair.a.key
    foot = [
        f"{key.dataset} {key.split}, image {key.image_id}, ref {key.ref_id}, sentence {key.sent_id}",
        *(f"{name}: {run.path}, {run.protocol}" for name, run in runs.items()),
    ]
    return draw_comparison(image=image, expression=pair.a.expression, target=target, runs=masks, foot=foot)


if __name__ == "__main__":
    run_tool(main)
