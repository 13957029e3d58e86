"""Write what was trained on a frozen base, without it: LoRA in peft's format and mask decoder, in 16 bit.

Example: python tools/model_converters/export_adapter.py configs/mllmseg/internvl_tiny_toy.py \
    work_dirs/internvl_tiny_toy/iter_800.pth adapters/internvl_tiny_toy
"""

from mmseg_mllm.conversion.trained import parse_export, trained_model
from mmseg_mllm.engine.cli import run_tool


def main() -> None:
    args = parse_export(__doc__)
    config, model = trained_model(args)
    from mmseg_mllm.conversion.adapter import save_adapter

    base = config.model.backbone.pretrained
    numbers = save_adapter(model, args.out, base=base)
    print(f"{args.out}: {numbers:,} numbers written, to be used on {base}")


if __name__ == "__main__":
    run_tool(main)
