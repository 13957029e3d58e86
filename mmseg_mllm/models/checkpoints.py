"""Checkpoints: a broken file or one of another model is told before anything is half loaded."""

import contextlib
import pickle
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

from mmengine.runner import CheckpointLoader, load_state_dict
from torch import nn
from torch.utils.serialization import config as serialization

from mmseg_mllm.compat import without_prints
from mmseg_mllm.errors import CheckpointError, MMSegMLLMError
from mmseg_mllm.lfs import refuse_lfs_pointer
from mmseg_mllm.models.frozen_base import KEY, add_base

SHOWN = 3


def check_state_dict(module: nn.Module, state_dict: dict, prefix: str, *args) -> None:
    """Pre-hook of ``load_state_dict``: every tensor must be there, with the right shape, and no other.

    Raises:
        CheckpointError: the checkpoint belongs to another model or config.
    """
    own = {prefix + name: tensor for name, tensor in module.state_dict().items()}
    given = {name: tensor for name, tensor in state_dict.items() if name.startswith(prefix)}
    shapes = [
        f"{name} has shape {tuple(given[name].shape)}, the model's is {tuple(own[name].shape)}"
        for name in own
        if name in given and given[name].shape != own[name].shape
    ]
    missing = [name for name in own if name not in given]
    unknown = [name for name in given if name not in own]
    problems = [
        f"{len(names)} {what}, such as {'; '.join(names[:SHOWN])}"
        for what, names in (
            ("tensors of another shape", shapes),
            ("tensors missing", missing),
            ("tensors unknown to the model", unknown),
        )
        if names
    ]
    if problems:
        raise CheckpointError(
            f"the checkpoint is not one of this config: {'. '.join(problems)}. Use the config that it was "
            "trained with"
        )


def mapped(path: str) -> contextlib.AbstractContextManager:
    """Let ``torch.load`` map this file into memory instead of reading it.

    Its tensors take no memory of their own, and processes that read the same file share what is in memory.
    """
    # torch's old format, which is no zip file, can't be mapped.
    return serialization.patch("load.mmap", zipfile.is_zipfile(path))


def load_weights(model: nn.Module, path: str) -> None:
    """Load a checkpoint file into a model: a whole one, or one without its base, which the model was built
    on.

    Raises:
        CheckpointError: the file can't be read, or is of another model or base.
    """
    with readable(path), mapped(path), without_prints():
        checkpoint = CheckpointLoader.load_checkpoint(path, map_location="cpu", logger="silent")
        add_base(checkpoint, model, where=path)
        load_state_dict(model, checkpoint.get("state_dict", checkpoint), strict=True)


def trained_base(path: str | Path) -> dict | None:
    """What a checkpoint file says of the base that it leaves out (``base_record``); None for a whole one.

    Raises:
        CheckpointError: the file can't be read.
    """
    with readable(str(path)), mapped(str(path)), without_prints():
        checkpoint = CheckpointLoader.load_checkpoint(str(path), map_location="cpu", logger="silent")
        return checkpoint.get(KEY)


@contextlib.contextmanager
def readable(path: str) -> Iterator[None]:
    """Say of a checkpoint file that can't be read that it can't be, whatever the reader raised.

    Raises:
        CheckpointError: the file is absent, cut off, no checkpoint, or a pickle of more than weights, which
            is not loaded since it could run code.
    """
    if Path(path).is_file():
        refuse_lfs_pointer(path, CheckpointError)
    try:
        yield
    except MMSegMLLMError:
        raise
    except Exception as error:  # readers of damaged files raise all sorts
        raise CheckpointError(
            f"{path}: not a checkpoint that can be read safely ({_reason(error)}); copy it again, or use an "
            "older one"
        ) from error


def _reason(error: Exception) -> str:
    text = str(error).strip() or type(error).__name__
    asked_for = re.search(r"[Uu]nsupported (?:global: )?GLOBAL (\S+)", text)
    if asked_for:
        return f"it asks to load {asked_for[1]}, which is no weight and could run code"
    if "central directory" in text:  # a zip file ends with it
        return "it is cut off"
    if isinstance(error, pickle.UnpicklingError):
        # torch's own message advises to switch the protection off.
        return "it is cut off, or a pickle of something else than weights, which could run code"
    return text.splitlines()[0]
