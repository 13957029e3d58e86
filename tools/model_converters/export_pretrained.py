"""Write the MLLM of a pretraining checkpoint as a native transformers folder with its tokenizer, in 16 bit.

Example: python tools/model_converters/export_pretrained.py configs/pretraining/internvl_toy_chat.py \
    work_dirs/internvl_toy_chat/iter_4800.pth pretrained/internvl_tiny
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
    # Torch is imported here, after the arguments were found right.
    import torch
    from mmengine.registry import init_default_scope
    from mmengine.runner import load_checkpoint
    from mmseg.registry import MODELS

    from mmseg_mllm.conversion.new_folder import new_folder
    from mmseg_mllm.conversion.save import save_base, start_answer_tokens
    from mmseg_mllm.engine.config import load_config
    from mmseg_mllm.models.checkpoints import readable

    config = load_config(args.config, args.cfg_options)
    init_default_scope("mmseg")
    model = MODELS.build(config.model)
    with readable(args.checkpoint):
        load_checkpoint(model, args.checkpoint, map_location="cpu", strict=True)
    start_answer_tokens(model.backbone)
    # Stored in 16 bit, computed in 32: so small a model gains nothing from less.
    size = 2 * sum(parameter.numel() for parameter in model.backbone.model.parameters())
    with new_folder(args.out, needed_bytes=size) as folder:
        save_base(model.backbone, folder, dtype=torch.float16)
    print(f"{args.out}: written")


if __name__ == "__main__":
    run_tool(main)
