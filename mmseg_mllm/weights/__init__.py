"""Models that come with the package, by name; a folder beside this file for each."""

from pathlib import Path

from mmseg_mllm.errors import CheckpointError

PACKAGED = ("tiny",)


def packaged_folder(name: str) -> Path:
    """The model folder of a packaged model.

    Raises:
        CheckpointError: this installation came without it.
    """
    folder = Path(__file__).parent / name
    if not folder.is_dir():
        raise CheckpointError(
            f"{name!r}: this installation of mmseg_mllm came without the weights of its packaged model "
            f"({folder} is not there); install it from a release, or name another model"
        )
    return folder
