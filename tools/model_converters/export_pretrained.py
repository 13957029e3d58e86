"""Write the MLLM of a pretraining checkpoint as a native transformers folder with its tokenizer, in 16 bit.

Example: python tools/model_converters/export_pretrained.py configs/pretraining/internvl_toy_chat.py \
    work_dirs/internvl_toy_chat/iter_13200.pth pretrained/internvl_tiny
"""

from mmseg_mllm.conversion.trained import parse_export, trained_model
from mmseg_mllm.engine.cli import run_tool


def main() -> None:
    args = parse_export(__doc__)
    _, model = trained_model(args)
    import torch

    from mmseg_mllm.conversion.new_folder import new_folder
    from mmseg_mllm.conversion.save import save_base, start_answer_tokens

    start_answer_tokens(model.backbone)
    # Stored in 16 bit, computed in 32: so small a model gains nothing from less.
    size = 2 * sum(parameter.numel() for parameter in model.backbone.model.parameters())
    with new_folder(args.out, needed_bytes=size) as folder:
        save_base(model.backbone, folder, dtype=torch.float16)
    print(f"{args.out}: written")


if __name__ == "__main__":
    run_tool(main)
