"""From which checkpoint a run goes on."""

import zipfile
from pathlib import Path

import torch

from mmseg_mllm.errors import CheckpointError
from mmseg_mllm.models.checkpoints import mapped, readable


def newest_checkpoint(folder: Path) -> tuple[Path | None, list[str]]:
    """The newest checkpoint of a work dir that holds all a run needs to go on, by the time written in it.

    Returns:
        Its path, None where there is no checkpoint at all; and what was passed over, with the reason.

    Raises:
        CheckpointError: there are checkpoints, and none can be read.
    """
    found, broken = [], []
    for path in sorted({path for place in _places(folder) for path in place.glob("*.pth")}):
        try:
            written = _written(path)
        except CheckpointError as error:
            broken.append(str(error))
            continue
        if written is not None:
            found.append((written, path))
    for _, path in sorted(found, reverse=True):
        damage = _damage(path)
        if damage is None:
            return path, broken
        broken.append(damage)
    if broken:
        raise CheckpointError(
            f"{folder}: no checkpoint in it can be read, so there is nothing to go on from: "
            f"{'; '.join(broken)}. Start anew in another --work-dir, or remove these files"
        )
    return None, []


def _places(folder: Path) -> set[Path]:
    """The work dir, and where its ``last_checkpoint`` is: the hook's ``out_dir`` may be another folder."""
    last = folder / "last_checkpoint"
    name = last.read_text(encoding="utf-8", errors="replace").strip() if last.is_file() else ""
    return {folder, (folder / name).parent} if name else {folder}


def _written(path: Path) -> tuple[str, int] | None:
    """When and after how many iterations; None for weights alone, such as of the best checkpoint."""
    with readable(str(path)), mapped(str(path)):
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
        if "optimizer" not in checkpoint:
            return None
        return checkpoint["meta"]["time"], checkpoint["meta"]["iter"]


def _damage(path: Path) -> str | None:
    """What is wrong with the bytes of a file, by the checksums in it."""
    if not zipfile.is_zipfile(path):
        return None
    try:
        with zipfile.ZipFile(path) as archive:
            bad = archive.testzip()
    except (OSError, zipfile.BadZipFile, RuntimeError) as error:
        return f"{path}: damaged ({error})"
    return f"{path}: damaged ({bad} has another checksum)" if bad else None
