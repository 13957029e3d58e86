"""Train a model: python tools/train.py CONFIG [--work-dir DIR] [--resume [CKPT]]."""

from mmseg_mllm.cli import run_alone

if __name__ == "__main__":
    run_alone("train")
