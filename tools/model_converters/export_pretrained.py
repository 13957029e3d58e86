"""Write the MLLM of a pretraining checkpoint as a native transformers folder, in 16 bit, with its tokenizer.

Example: python tools/model_converters/export_pretrained.py configs/pretraining/internvl_toy_chat.py \
    work_dirs/internvl_toy_chat/iter_2200.pth pretrained/internvl_tiny
"""

from pathlib import Path

import torch
from mmengine.registry import init_default_scope
from mmengine.runner import load_checkpoint
from mmseg.registry import MODELS

import mmseg_mllm  # noqa: F401
from mmseg_mllm.engine.cli import config_parser
from mmseg_mllm.engine.config import load_config
from mmseg_mllm.engine.runner import run_tool
from mmseg_mllm.models.checkpoints import readable


def main() -> None:
    parser = config_parser(__doc__)
    parser.add_argument("checkpoint", help="checkpoint of tools/train.py with this config")
    parser.add_argument("out", type=Path, help="new folder")
    args = parser.parse_args()
    config = load_config(args.config, args.cfg_options)
    init_default_scope("mmseg")
    model = MODELS.build(config.model)
    with readable(args.checkpoint):
        load_checkpoint(model, args.checkpoint, map_location="cpu", strict=True)
    model.backbone.model.to(torch.float16).save_pretrained(args.out)
    model.backbone.tokenizer.tokenizer.save_pretrained(args.out)
    print(f"{args.out}: written")


if __name__ == "__main__":
    run_tool(main)
