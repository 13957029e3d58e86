"""Look at a config's samples before and after the pipeline: browse_dataset.py CONFIG --out DIR [--num N]."""

import argparse
import random
from pathlib import Path

from PIL import Image
from rich.console import Console
from rich.progress import track

from mmseg_mllm.engine.cli import check_config_path, config_parser, run_tool

SHEET_COLUMNS = 3
SHEET_PANEL = 200


def parse_args() -> argparse.Namespace:
    parser = config_parser("Draw samples as stored and as the model gets them.")
    parser.add_argument("--out", type=Path, required=True, help="folder for the pictures")
    parser.add_argument(
        "--num", type=int, default=12, help="how many samples, spread over the set (default 12)"
    )
    parser.add_argument(
        "--part", choices=["train", "val", "test"], default="train", help="which dataloader's"
    )
    parser.add_argument("--sheet", action="store_true", help="one contact sheet instead of single pictures")
    args = parser.parse_args()
    check_config_path(args.config)
    return args


def main() -> None:
    args = parse_args()
    # Torch is imported here, after the arguments were found right.
    from mmengine.registry import init_default_scope
    from mmseg.registry import DATASETS

    from mmseg_mllm.engine.config import load_config
    from mmseg_mllm.engine.hooks.referring_visualization_hook import spread_indices
    from mmseg_mllm.visualization.sample_page import draw_sample, tile

    config = load_config(args.config, args.cfg_options)
    init_default_scope("mmseg")
    random.seed(0)  # the pipeline draws expressions
    dataset = DATASETS.build(config[f"{args.part}_dataloader"].dataset)
    chosen = sorted(spread_indices(total=len(dataset), count=args.num))
    args.out.mkdir(parents=True, exist_ok=True)
    console = Console(stderr=True)
    pages = []
    for i in track(chosen, "drawing", console=console, transient=True, disable=not console.is_terminal):
        stored = dataset.get_data_info(i)
        page = draw_sample(stored, dataset[i], **(dict(panel_width=SHEET_PANEL) if args.sheet else {}))
        if args.sheet:
            pages.append(page)
        else:
            name = f"{stored['dataset']}_{stored['split']}_{Path(stored['img_path']).stem}.png"
            Image.fromarray(page).save(args.out / name)
    if args.sheet:
        Image.fromarray(tile(pages, columns=SHEET_COLUMNS)).save(args.out / "sheet.png")
    print(f"{args.out}: {len(chosen)} of {len(dataset)} samples")


if __name__ == "__main__":
    run_tool(main)
