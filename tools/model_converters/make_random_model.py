"""A model folder of a config's size with random weights: make_random_model.py CONFIG OUT."""

from pathlib import Path

from mmseg_mllm.engine.cli import check_config_path, config_parser, run_tool


def main() -> None:
    parser = config_parser(
        "Make a model folder with random weights, to try what a model takes without a download."
    )
    parser.add_argument("out", type=Path, metavar="OUT", help="folder to make")
    parser.add_argument("--dtype", choices=["bfloat16", "float32"], default="bfloat16")
    args = parser.parse_args()
    check_config_path(args.config)
    # Torch is imported here, after the arguments were found right.
    import torch
    from mmengine.registry import init_default_scope

    from mmseg_mllm.conversion.random_model import write_random_model
    from mmseg_mllm.engine.config import load_config

    init_default_scope("mmseg")
    model = load_config(args.config, args.cfg_options).get("model", {})
    numbers = write_random_model(model, args.out, dtype=getattr(torch, args.dtype))
    print(f"{args.out}: {numbers:,} random numbers, {args.dtype}")


if __name__ == "__main__":
    run_tool(main)
