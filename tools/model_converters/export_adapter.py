"""Write what was trained on a frozen base, without it: LoRA in peft's format and mask decoder, in 16 bit.

Example: python tools/model_converters/export_adapter.py configs/mllmseg/internvl_tiny_toy.py \
    work_dirs/internvl_tiny_toy/iter_800.pth adapters/internvl_tiny_toy
"""

from pathlib import Path

from mmseg_mllm.engine.cli import check_checkpoint_path, check_config_path, config_parser, run_tool


def main() -> None:
    parser = config_parser(__doc__)
    parser.add_argument("checkpoint", help="checkpoint of tools/train.py with this config")
    parser.add_argument("out", type=Path, help="new folder")
    args = parser.parse_args()
    check_config_path(args.config)
    check_checkpoint_path(args.checkpoint)
    from mmengine.registry import init_default_scope
    from mmengine.runner import load_checkpoint
    from mmseg.registry import MODELS

    from mmseg_mllm.conversion.adapter import save_adapter
    from mmseg_mllm.engine.config import load_config
    from mmseg_mllm.models.checkpoints import readable

    config = load_config(args.config, args.cfg_options)
    init_default_scope("mmseg")
    model = MODELS.build(config.model)
    with readable(args.checkpoint):
        load_checkpoint(model, args.checkpoint, map_location="cpu", strict=True)
    numbers = save_adapter(model, args.out, base=config.model.backbone.pretrained)
    print(f"{args.out}: {numbers:,} numbers written, to be used on {config.model.backbone.pretrained}")


if __name__ == "__main__":
    run_tool(main)
