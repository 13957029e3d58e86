"""Reading and writing tensors that are spread over several files, without holding them all in memory."""

import json
import re
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from mmseg_mllm.errors import CheckpointError
from mmseg_mllm.models.checkpoints import readable

SHARD_BYTES = 2**30
SAFETENSORS_DTYPES = {"F32": "float32", "F16": "float16", "BF16": "bfloat16", "I64": "int64"}
KINDS = (
    ("model.safetensors", "model.safetensors.index.json", r"model-\d+-of-\d+\.safetensors"),
    ("pytorch_model.bin", "pytorch_model.bin.index.json", r"pytorch_model-\d+-of-\d+\.bin"),
)
"""File of a whole model, index of a sharded one, and its shards, in the order of preference."""


class TensorFiles:
    """Tensors of a HuggingFace checkpoint folder, read one at a time.

    Files are mapped into memory, so only what is touched is read. Nothing in them can run code: safetensors
    hold numbers only, and pickles are read with ``weights_only``.

    Args:
        files: Files with tensors; a name must not be in two of them.

    Raises:
        CheckpointError: a file is damaged, holds something else than tensors, or asks to run code.
    """

    def __init__(self, *, files: list[Path]) -> None:
        self._file: dict[str, Path] = {}
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.dtypes: dict[str, str] = {}
        self._pickled: tuple[Path, _Pickled] | None = None
        self._given_bytes = 0
        self.total_bytes = sum(path.stat().st_size for path in files)
        for path in files:
            with readable(str(path)):
                for name, (shape, dtype) in _content(path).headers().items():
                    if name in self._file:
                        raise CheckpointError(f"{path}: {name} is also in {self._file[name].name}")
                    self._file[name] = path
                    self.shapes[name], self.dtypes[name] = shape, dtype

    @classmethod
    def of_folder(cls, folder: Path) -> "TensorFiles":
        """All weights of a checkpoint folder.

        Raises:
            CheckpointError: there are none, or not all that the index names.
        """
        for whole, index, shard in KINDS:
            if (folder / index).is_file():
                return cls._indexed(folder / index)
            if (folder / whole).is_file():
                return cls(files=[folder / whole])
            lonely = [path.name for path in folder.iterdir() if re.fullmatch(shard, path.name)]
            if lonely:
                raise CheckpointError(
                    f"{folder}: {lonely[0]} is one of several files, but {index} is missing"
                )
        names = ", ".join(name for whole, index, _ in KINDS for name in (whole, index))
        raise CheckpointError(f"{folder}: no weights in it; looked for {names}")

    @classmethod
    def _indexed(cls, index: Path) -> "TensorFiles":
        try:
            weight_map = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
            names = sorted(set(weight_map.values()))
            paths = [index.parent / name for name in names]
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise CheckpointError(
                f"{index}: not an index of weights ({error!r}); download it again"
            ) from None
        outside = [name for name in names if Path(name).is_absolute() or ".." in Path(name).parts]
        if outside:
            raise CheckpointError(f"{index}: names {outside[0]!r}, which is not in its folder")
        missing = [path.name for path in paths if not path.is_file()]
        if missing:
            raise CheckpointError(
                f"{index.parent}: {', '.join(missing)} is missing, named in {index.name}; download it again"
            )
        files = cls(files=paths)
        absent = [name for name in weight_map if name not in files.shapes]
        if absent:
            raise CheckpointError(
                f"{index.parent}: {absent[0]} is not in {weight_map[absent[0]]}, where {index.name} has it; "
                "download both again"
            )
        return files

    def in_file_order(self, name: str) -> tuple[str, str]:
        """Sort key that keeps tensors of one file together."""
        return str(self._file[name]), name

    def get(self, name: str) -> Tensor:
        """One tensor. What was read before is not kept in memory by it."""
        path = self._file[name]
        with readable(str(path)):
            if path.suffix == ".safetensors":
                # Opened anew each time: pages of a file stay in memory as long as it is mapped.
                return _Safetensors(path).get(name)
            if self._pickled is None or self._pickled[0] != path or self._given_bytes > SHARD_BYTES:
                self._pickled, self._given_bytes = None, 0
                self._pickled = path, _Pickled(path)
            tensor = self._pickled[1].get(name)
            self._given_bytes += tensor.nbytes
            return tensor.clone(memory_format=torch.contiguous_format)


class StateTensors:
    """Tensors of a model in memory, in the manner of :class:`TensorFiles`.

    Args:
        state: Its ``state_dict()``.
    """

    def __init__(self, state: dict[str, Tensor]) -> None:
        self._state = state
        self.shapes = {name: tuple(tensor.shape) for name, tensor in state.items()}
        self.dtypes = {name: str(tensor.dtype).removeprefix("torch.") for name, tensor in state.items()}
        self.total_bytes = sum(tensor.nbytes for tensor in state.values())

    def in_file_order(self, name: str) -> tuple[str, str]:
        """Sort key."""
        return "", name

    def get(self, name: str) -> Tensor:
        """One tensor, apart from the model's."""
        return self._state[name].detach().clone(memory_format=torch.contiguous_format)


def _content(path: Path) -> "_Safetensors | _Pickled":
    return _Safetensors(path) if path.suffix == ".safetensors" else _Pickled(path)


class _Safetensors:
    def __init__(self, path: Path) -> None:
        self._file = safe_open(path, framework="pt")

    def headers(self) -> dict[str, tuple[tuple[int, ...], str]]:
        names = self._file.keys()
        slices = {name: self._file.get_slice(name) for name in names}
        return {
            name: (tuple(part.get_shape()), SAFETENSORS_DTYPES.get(part.get_dtype(), part.get_dtype()))
            for name, part in slices.items()
        }

    def get(self, name: str) -> Tensor:
        return self._file.get_tensor(name)


class _Pickled:
    def __init__(self, path: Path) -> None:
        try:
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        except RuntimeError as error:
            if "mmap can only be used" not in str(error):
                raise
            # Files in the format before torch 1.6 can't be mapped.
            content = torch.load(path, map_location="cpu", weights_only=True)
        self._tensors = content.get("state_dict", content) if isinstance(content, dict) else None
        if not isinstance(self._tensors, dict):
            raise CheckpointError(f"{path}: holds a {type(content).__name__}, no tensors by name")
        strange = [name for name, tensor in self._tensors.items() if not _is_plain(name, tensor)]
        if strange:
            raise CheckpointError(f"{path}: {strange[0]!r} is no ordinary tensor")

    def headers(self) -> dict[str, tuple[tuple[int, ...], str]]:
        return {
            name: (tuple(tensor.shape), str(tensor.dtype).removeprefix("torch."))
            for name, tensor in self._tensors.items()
        }

    def get(self, name: str) -> Tensor:
        return self._tensors[name]


def _is_plain(name: object, tensor: object) -> bool:
    is_tensor = isinstance(name, str) and isinstance(tensor, Tensor)
    return is_tensor and tensor.layout is torch.strided and not (tensor.is_meta or tensor.is_quantized)


class ShardWriter:
    """Writes tensors to a folder as safetensors files of bounded size, with an index.

    Args:
        folder: Must exist.
        shard_bytes: A file is written when the next tensor would make it larger.
    """

    def __init__(self, *, folder: Path, shard_bytes: int = SHARD_BYTES) -> None:
        self._folder = folder
        self._limit = shard_bytes
        self._held: dict[str, Tensor] = {}
        self._held_bytes = 0
        self._shards: list[list[str]] = []
        self._total = 0
        self.parameters = 0

    def add(self, name: str, tensor: Tensor) -> None:
        """Take one tensor."""
        if self._held and self._held_bytes + tensor.nbytes > self._limit:
            self._flush()
        self._held[name] = tensor.contiguous()
        self._held_bytes += tensor.nbytes
        self._total += tensor.nbytes
        self.parameters += tensor.numel()

    def close(self) -> None:
        """Write what is left, and the names that transformers looks for."""
        self._flush()
        if len(self._shards) == 1:
            self._part(0).rename(self._folder / "model.safetensors")
            return
        weight_map = {}
        for i, names in enumerate(self._shards):
            file = f"model-{i + 1:05}-of-{len(self._shards):05}.safetensors"
            self._part(i).rename(self._folder / file)
            weight_map |= dict.fromkeys(names, file)
        index = dict(metadata=dict(total_size=self._total), weight_map=weight_map)
        text = json.dumps(index, indent=2, sort_keys=True)
        (self._folder / "model.safetensors.index.json").write_text(text + "\n", encoding="utf-8")

    def _part(self, i: int) -> Path:
        return self._folder / f"part-{i}.safetensors"

    def _flush(self) -> None:
        save_file(self._held, self._part(len(self._shards)), metadata=dict(format="pt"))
        self._shards.append(list(self._held))
        self._held.clear()
        self._held_bytes = 0
