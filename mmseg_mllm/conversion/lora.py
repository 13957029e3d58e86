"""LoRA adapters in a checkpoint, added to the weights that they adapt."""

import re
from collections.abc import Mapping, Sequence
from typing import Protocol

from torch import Tensor

from mmseg_mllm.errors import CheckpointError


class Tensors(Protocol):
    """Tensors by name, read one at a time; see ``TensorFiles``."""

    shapes: Mapping[str, tuple[int, ...]]
    dtypes: Mapping[str, str]

    def get(self, name: str) -> Tensor: ...

    def in_file_order(self, name: str) -> tuple[str, str]: ...


class MergedTensors:
    """View of a checkpoint in which peft's adapters are merged and have left no trace in the names.

    Each adapted weight is W + scaling * B A, computed in float32 and rounded once to the dtype of W. Rows of
    trained tokens take the place of the embedding's own. A checkpoint without adapters is passed on as it is.

    Args:
        tensors: Checkpoint that may hold tensors of peft.
        scaling: ``lora_alpha / r``.
        token_ids: Whose rows ``trainable_token_indices`` trained, in peft's order.

    Raises:
        CheckpointError: an adapter is incomplete or of a kind that can't be merged.
    """

    def __init__(self, *, tensors: Tensors, scaling: float, token_ids: Sequence[int] = ()) -> None:
        self._tensors = tensors
        self._scaling = scaling
        self._token_ids = list(token_ids)
        self._source: dict[str, str] = {}
        self._lora: dict[str, dict[str, str]] = {}
        self._rows: dict[str, str] = {}
        for name in tensors.shapes:
            plain = _without_peft(name)
            lora = re.fullmatch(r"(.+)\.lora_([AB])\.\w+\.weight", plain)
            rows = re.fullmatch(r"(.+)\.trainable_tokens_delta\.\w+", plain)
            if lora:
                pair = self._lora.setdefault(f"{lora[1]}.weight", {})
                if lora[2] in pair:
                    raise CheckpointError(
                        f"{name}: {pair[lora[2]]} adapts the same weight; merge them with peft"
                    )
                pair[lora[2]] = name
            elif rows:
                self._rows[f"{rows[1]}.weight"] = name
            elif "lora_" in plain:
                raise CheckpointError(f"{name}: an adapter of this kind can't be merged; merge it with peft")
            elif plain in self._source:
                raise CheckpointError(f"{name} and {self._source[plain]} are the same weight")
            else:
                self._source[plain] = name
        self._check()
        self.shapes = {plain: tensors.shapes[name] for plain, name in self._source.items()}
        self.dtypes = {plain: tensors.dtypes[name] for plain, name in self._source.items()}

    @property
    def ranks(self) -> set[int]:
        """LoRA ranks; empty where nothing had to be merged."""
        return {self._tensors.shapes[pair["A"]][0] for pair in self._lora.values()}

    def get(self, name: str) -> Tensor:
        """One tensor, with its adapter."""
        tensor = self._tensors.get(self._source[name])
        if name in self._lora:
            a, b = (self._tensors.get(self._lora[name][part]).float() for part in "AB")
            tensor = (tensor.float() + self._scaling * (b @ a)).to(tensor.dtype)
        if name in self._rows:
            tensor = tensor.clone()
            tensor[self._token_ids] = self._tensors.get(self._rows[name]).to(tensor.dtype)
        return tensor

    def in_file_order(self, name: str) -> tuple[str, str]:
        """Sort key that keeps tensors of one file together."""
        return self._tensors.in_file_order(self._source[name])

    def _check(self) -> None:
        for name, pair in self._lora.items():
            if name not in self._source or set(pair) != {"A", "B"}:
                raise CheckpointError(
                    f"{name}: its LoRA adapter is incomplete; download the checkpoint again"
                )
            a, b, shape = (
                tuple(self._tensors.shapes[source]) for source in (pair["A"], pair["B"], self._source[name])
            )
            if len(a) != 2 or len(b) != 2 or a[0] != b[1] or shape != (b[0], a[1]):
                raise CheckpointError(f"{name}: LoRA of shapes {b} and {a} does not fit {shape}")
        for name, rows in self._rows.items():
            found = self._tensors.shapes[rows][0]
            if name not in self._source or found != len(self._token_ids):
                raise CheckpointError(
                    f"{name}: {found} trained token rows, but {len(self._token_ids)} token ids are known"
                )


def _without_peft(name: str) -> str:
    for part in (".base_model.model.", ".base_layer.", ".token_adapter."):
        name = name.replace(part, ".")
    return name
