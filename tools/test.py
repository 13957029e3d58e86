"""Test a model: python tools/test.py CONFIG CHECKPOINT [--out PRED.json] [--show-dir DIR]."""

from mmseg_mllm.cli import run_alone

if __name__ == "__main__":
    run_alone("test")
