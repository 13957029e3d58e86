"""Weights that come with the package, under names that configs can give as ``pretrained``."""

from pathlib import Path

from mmseg_mllm.errors import CheckpointError

PREFIX = "mmseg_mllm://"


def packaged(name: str) -> str:
    """Folder of a name such as 'mmseg_mllm://internvl_tiny'; other names and paths as they are.

    Raises:
        CheckpointError: no weights of that name come with the package.
    """
    if not name.startswith(PREFIX):
        return name
    here = Path(__file__).parent
    folder = here / name.removeprefix(PREFIX)
    if not (folder / "config.json").is_file():
        there = sorted(path.parent.name for path in here.glob("*/config.json"))
        raise CheckpointError(f"{name}: no such weights come with the package; there are {', '.join(there)}")
    return str(folder)
