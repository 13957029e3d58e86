"""Many images at once: what the command ``mmseg-mllm segment`` and ``RESInferencer`` are made of."""
