"""What comes with the package: a folder beside this file for each, by name."""

from pathlib import Path

from mmseg_mllm.errors import CheckpointError

MODELS = ("tiny",)
"""Whole models, for those who name one; the other folders are bases to train on."""
PREFIX = "mmseg_mllm://"
"""Before the name of a folder where a path is expected, such as in a config."""


def packaged(name: str) -> str:
    """Path of a name such as 'mmseg_mllm://internvl_tiny'; other names and paths as they are.

    Raises:
        CheckpointError: nothing of that name comes with the package.
    """
    return str(packaged_folder(name.removeprefix(PREFIX))) if name.startswith(PREFIX) else name


def packaged_folder(name: str) -> Path:
    """The folder of that name.

    Raises:
        CheckpointError: there is none.
    """
    here = Path(__file__).parent
    folder = here / name
    if not any(folder.glob("*.json")) or folder.parent != here:
        there = ", ".join(sorted(path.parent.name for path in here.glob("*/README.md"))) or "none"
        raise CheckpointError(
            f"{name!r}: no such weights in this installation of mmseg_mllm ({here}), there are {there}; "
            "install it from a release, or name others"
        )
    return folder
