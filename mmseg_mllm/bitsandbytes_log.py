"""Keeps warnings of bitsandbytes off the console where nothing is wrong. Imports no torch: mmengine imports
bitsandbytes, where it is installed, before this package's other modules run."""

import logging


def quiet() -> None:
    """Let its loggers tell errors only.

    Version 0.50 warns that an optional package of kernels is missing, and at each use of 8 bit weights in
    float32 that it computes in float16. Can go when it does not.
    """
    for module in ("backends.cpu.ops", "autograd._functions"):
        logging.getLogger(f"bitsandbytes.{module}").setLevel(logging.ERROR)
