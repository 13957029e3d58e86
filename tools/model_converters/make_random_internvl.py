"""An original InternVL folder with random weights: make_random_internvl.py --size 8b --out DIR."""

import argparse
from pathlib import Path

from mmseg_mllm.conversion.new_folder import new_folder
from mmseg_mllm.conversion.random_sizes import NEW_TOKENS, SIZES, VISIONS, original_config
from mmseg_mllm.engine.cli import run_tool

BYTES = {"bfloat16": 2, "float32": 4}


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Make an original InternVL folder with random weights, to try a conversion."
    )
    parser.add_argument("--size", choices=SIZES, required=True, help="tiny: made in seconds, 10 MB")
    parser.add_argument("--out", type=Path, required=True, help="folder to make")
    parser.add_argument("--mllmseg", action="store_true", help="with a mask decoder, [SEG] and [REJ]")
    parser.add_argument("--dtype", choices=BYTES, default="bfloat16")
    args = parser.parse_args()
    # Torch is imported here, after the arguments were found right.
    import torch

    from mmseg_mllm.conversion.random_folder import RandomWeights, write_random_folder
    from mmseg_mllm.conversion.random_tokenizer import write_internlm2_tokenizer, write_qwen2_tokenizer

    llm = dict(SIZES[args.size])
    llm["vocab_size"] += len(NEW_TOKENS) if args.mllmseg else 0
    config = original_config(llm, vision=VISIONS.get(args.size))
    weights = RandomWeights(config=config, with_head=args.mllmseg, dtype=getattr(torch, args.dtype))
    numbers = sum(torch.Size(shape).numel() for shape in weights.shapes().values())
    write_tokenizer = write_internlm2_tokenizer if llm["model_type"] == "internlm2" else write_qwen2_tokenizer
    with new_folder(args.out, needed_bytes=numbers * BYTES[args.dtype]) as folder:
        write_tokenizer(folder, size=llm["vocab_size"], with_answers=args.mllmseg)
        write_random_folder(weights, folder)
    print(f"{args.out}: {numbers:,} random numbers, {args.dtype}")


if __name__ == "__main__":
    run_tool(main)
