"""Before anything is written: are these the tensors that the config describes?"""

import re
from collections.abc import Mapping, Sequence

from mmseg_mllm.conversion.lora import Tensors
from mmseg_mllm.errors import CheckpointError

WEIGHT_DTYPES = ("float32", "bfloat16", "float16")
COUNTER = "num_batches_tracked"
"""The one kind of tensor that holds integers."""
SHOWN = 3


def check_tensors(tensors: Tensors, *, wanted: Mapping[str, Sequence[int]], where: str) -> list[str]:
    """See that each wanted tensor is there, with its shape and ordinary numbers.

    Args:
        tensors: What was found.
        wanted: Shapes by name, as the config has them.
        where: Named in errors.

    Returns:
        Names of the tensors that are not wanted.

    Raises:
        CheckpointError: a tensor is missing, of another shape or quantised, or there are more layers than the
            config says.
    """
    missing = [name for name in wanted if name not in tensors.shapes]
    if missing:
        raise CheckpointError(
            f"{where}: {len(missing)} of {len(wanted)} tensors are missing, such as "
            f"{', '.join(missing[:SHOWN])}. The weights are incomplete, or of another model than the "
            "config.json beside them; download them again"
        )
    for name, shape in wanted.items():
        found = tuple(tensors.shapes[name])
        if found != tuple(shape):
            raise CheckpointError(
                f"{where}: {name} has shape {found}, by its config.json it should be {tuple(shape)}; weights "
                "and config.json don't belong together"
            )
        dtype = tensors.dtypes[name]
        if dtype not in WEIGHT_DTYPES and not name.endswith(COUNTER):
            raise CheckpointError(
                f"{where}: {name} is of dtype {dtype}; only weights in {', '.join(WEIGHT_DTYPES)} can be "
                "converted, no quantised ones"
            )
    unused = [name for name in tensors.shapes if name not in wanted]
    known = {_without_numbers(name) for name in wanted}
    more = [name for name in unused if _without_numbers(name) in known or _is_bias_of(name, wanted)]
    if more:
        raise CheckpointError(
            f"{where}: {len(more)} tensors are more than its config.json describes, such as {more[0]}; "
            "weights and config.json don't belong together"
        )
    return unused


def _without_numbers(name: str) -> str:
    return re.sub(r"\.\d+\.", ".*.", name)


def _is_bias_of(name: str, wanted: Mapping[str, Sequence[int]]) -> bool:
    return name.endswith(".bias") and f"{name.removesuffix('.bias')}.weight" in wanted
