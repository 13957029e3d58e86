"""What a conversion did, in a few lines."""

import re
from collections.abc import Iterable
from pathlib import Path

from mmseg_mllm.conversion.convert import Conversion


def report(conversion: Conversion, target: Path) -> str:
    """Counts, merged adapters, and every source tensor that was not used, layers taken together."""
    lines = [f"{target}: {conversion.tensors:,} tensors, {conversion.parameters:,} parameters"]
    if conversion.merged_ranks:
        ranks = ", ".join(map(str, sorted(conversion.merged_ranks)))
        lines.append(f"LoRA of rank {ranks} is merged into the weights")
    if conversion.unused:
        lines.append(f"{len(conversion.unused)} tensors of the source have no place in it:")
        lines += [f"  {name}" for name in _together(conversion.unused)]
    return "\n".join(lines)


def _together(names: Iterable[str]) -> list[str]:
    """Names that differ in their layer only, as one with ``*`` and their number."""
    counts: dict[str, list[str]] = {}
    for name in names:
        counts.setdefault(re.sub(r"\.\d+\.", ".*.", name), []).append(name)
    return [f"{key} ({len(all_)})" if len(all_) > 1 else all_[0] for key, all_ in counts.items()]
