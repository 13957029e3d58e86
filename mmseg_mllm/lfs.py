"""Git LFS pointers: what lies in place of a large file where a repository was cloned without them."""

from pathlib import Path

from mmseg_mllm.errors import MMSegMLLMError

_FIRST_LINE = b"version https://git-lfs.github.com/spec/"
_MAX_BYTES = 1024


def refuse_lfs_pointer(path: str | Path, error: type[MMSegMLLMError]) -> None:
    """Say of a pointer what it is; all else is left to the reader of the file.

    Args:
        path: A file that exists.
        error: Class of the error to raise.
    """
    path = Path(path)
    if path.stat().st_size > _MAX_BYTES:
        return
    with path.open("rb") as file:
        if file.read(len(_FIRST_LINE)) == _FIRST_LINE:
            raise error(
                f"{path}: only a Git LFS pointer, not the file itself; fetch it with `git lfs install` and "
                f"`git lfs pull` in its repository, or download {path.name} by itself"
            )
