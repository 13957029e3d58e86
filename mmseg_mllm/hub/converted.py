"""Authors' releases, converted once and kept by commit beside the hub's own cache."""

import shutil
from pathlib import Path

from huggingface_hub import constants
from huggingface_hub.utils import WeakFileLock

from mmseg_mllm.errors import CheckpointError, ConfigError
from mmseg_mllm.models.model_settings import FORMAT


def models_folder() -> Path:
    """Where converted models are kept."""
    return Path(constants.HF_HOME).expanduser() / "mmseg_mllm" / "models"


def converted_folder(name: str, commit: str) -> Path:
    """Where the model of a commit is once it is converted; only whole folders have that name."""
    return models_folder() / name.replace("/", "--") / f"{commit}-v{FORMAT}"


def convert_once(name: str, commit: str, snapshot: Path) -> Path:
    """Convert a downloaded release unless that was done; one process does it, others wait for it.

    Args:
        name: Of the repository.
        commit: Of the snapshot.
        snapshot: Folder with its files.

    Raises:
        CheckpointError: it is no release of MLLMSeg, or damaged. Nothing is left behind.
        ConfigError: the folder can't be written.
    """
    # Torch is imported where there is something to convert.
    from mmseg_mllm.conversion.convert import convert_mllmseg

    target = converted_folder(name, commit)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with WeakFileLock(target.parent / f"{target.name}.lock"):
            if not target.is_dir():
                for left_by_a_killed_one in target.parent.glob(f".{target.name}-*"):
                    shutil.rmtree(left_by_a_killed_one, ignore_errors=True)
                convert_mllmseg(snapshot, target)
    except (CheckpointError, ConfigError) as error:
        raise type(error)(f"{name}: {error}") from None
    except OSError as error:
        raise ConfigError(
            f"{name}: {target.parent} can't be written to ({error.strerror}); set HF_HOME to a folder that "
            "can be"
        ) from None
    return target
