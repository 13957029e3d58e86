"""From what people call a model to the folder that it is in."""

import os
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id

from mmseg_mllm.errors import CheckpointError, ConfigError
from mmseg_mllm.weights import PACKAGED, packaged_folder


@dataclass(frozen=True, kw_only=True)
class ModelSource:
    """Where a model came from.

    Attributes:
        name: As asked for.
        folder: Model folder on this machine.
        revision: Commit on the hub (40 hex digits); None for a folder and a packaged model.
    """

    name: str
    folder: Path
    revision: str | None = None


def find_model(name: str | Path, *, revision: str | None = None) -> ModelSource:
    """The folder of a model; one of the hub is downloaded, and converted if it is the authors'.

    Args:
        name: A packaged model ('tiny'), a folder, or a hub name (OWNER/NAME), looked for in this order.
        revision: Branch, tag or commit of a hub name; its main branch by default.

    Raises:
        CheckpointError: there is no such model, it can't be had, or is something else. The message says what
            to do.
        ConfigError: a revision is given of what has none, or the disk is too full.
    """
    name = os.fspath(name)
    path = Path(name).expanduser()
    if name in PACKAGED or path.is_dir():
        if revision is not None:
            raise ConfigError(f"{name}: revision={revision!r} is of hub names; this is no hub name")
        return ModelSource(name=name, folder=packaged_folder(name) if name in PACKAGED else path)
    if path.exists():
        raise CheckpointError(
            f"{name}: is a file; a checkpoint is loaded with its config (RESPredictor.from_config), or made "
            "into a model folder by tools/model_converters/merge_checkpoint.py"
        )
    if not _is_hub_name(name):
        raise CheckpointError(
            f"{name}: no such folder, and not a hub name (OWNER/NAME) or a packaged model "
            f"({', '.join(PACKAGED)})"
        )
    # The hub's client is imported where it is needed.
    from mmseg_mllm.hub.fetch import fetch_model

    folder, commit = fetch_model(name, revision=revision)
    return ModelSource(name=name, folder=folder, revision=commit)


def _is_hub_name(name: str) -> bool:
    try:
        validate_repo_id(name)
    except HFValidationError:
        return False
    return name.count("/") == 1
