"""What a conversion did, and its progress."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.progress import track

from mmseg_mllm.conversion.links import Link


@dataclass(frozen=True, kw_only=True)
class Conversion:
    """What was done.

    Attributes:
        tensors, parameters: Written; buffers count as parameters.
        merged_ranks: LoRA ranks that were merged into the weights; empty for none.
        unused: Names of source tensors that have no place in the result.
    """

    tensors: int
    parameters: int
    merged_ranks: set[int] = field(default_factory=set)
    unused: list[str] = field(default_factory=list)

    def report(self, target: Path) -> str:
        """Counts, merged adapters, and every source tensor that was not used, layers taken together."""
        lines = [f"{target}: {self.tensors:,} tensors, {self.parameters:,} parameters"]
        if self.merged_ranks:
            ranks = ", ".join(map(str, sorted(self.merged_ranks)))
            lines.append(f"LoRA of rank {ranks} is merged into the weights")
        if self.unused:
            lines.append(f"{len(self.unused)} tensors of the source have no place in it:")
            lines += [f"  {name}" for name in _together(self.unused)]
        return "\n".join(lines)


def with_bar(links: list[Link]) -> Iterator[Link]:
    """The links, with a bar and a time estimate where someone watches."""
    console = Console(stderr=True)
    yield from track(links, "converting", console=console, transient=True, disable=not console.is_terminal)


def _together(names: Iterable[str]) -> list[str]:
    """Names that differ in their layer only, as one with ``*`` and their number."""
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(re.sub(r"\.\d+\.", ".*.", name), []).append(name)
    return [f"{key} ({len(group)})" if len(group) > 1 else group[0] for key, group in groups.items()]
