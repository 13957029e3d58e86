"""Which storages live at the peak of a piece of work, and what part they were made in."""

import weakref
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakIdKeyDictionary

WORKSPACE = "workspace of kernels"


@dataclass
class _Storage:
    part: str
    size: int


class LiveStorages(TorchDispatchMode):
    """Counts the bytes of what operators allocate, while they are in use.

    Works on any tensors, those without memory (meta, fake) too.

    Args:
        workspace: What a kernel allocates for itself and frees again, in bytes: of an operator and its
            arguments.

    Attributes:
        part: Name of what is being computed; allocations count as that part's.
        live: Bytes by part in use now.
        peak: Bytes by part when most were in use.
    """

    def __init__(self, *, workspace: Callable[..., int] | None = None) -> None:
        super().__init__()
        self.part = ""
        self.live: Counter[str] = Counter()
        self.peak: Counter[str] = Counter()
        self._workspace = workspace
        self._storages = WeakIdKeyDictionary()

    def count(self, tensor: Tensor) -> None:
        """Count a tensor's storage as the current part's, whatever it was counted as before."""
        key = tensor.untyped_storage()
        if key in self._storages:
            storage = self._storages[key]
            self.live[storage.part] -= storage.size
            storage.part = self.part
        else:
            storage = self._storages[key] = _Storage(self.part, key.nbytes())
            weakref.finalize(key, self._free, storage)
        self.live[storage.part] += storage.size

    def _free(self, storage: _Storage) -> None:
        self.live[storage.part] -= storage.size

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor) and leaf.untyped_storage() not in self._storages:
                self.count(leaf)
        workspace = self._workspace(func, args) if self._workspace else 0
        if self.live.total() + workspace > self.peak.total():
            self.peak = self.live + Counter({WORKSPACE: workspace})
        return result
