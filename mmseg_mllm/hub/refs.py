"""Which commit a name meant when the hub was last asked, for when it can't be."""

import contextlib
import re
from pathlib import Path
from urllib.parse import quote

from huggingface_hub import constants, try_to_load_from_cache

from mmseg_mllm.conversion.original_config import CONFIG_FILE
from mmseg_mllm.hub.converted import models_folder

_COMMIT = re.compile("[0-9a-f]{40}")


def remember(name: str, revision: str | None, commit: str) -> None:
    """Note the commit of a revision, where HF_HOME can be written to; a shared one often can't."""
    path = _path(name, revision)
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(commit, encoding="ascii")


def remembered(name: str, revision: str | None) -> str | None:
    """The commit that was noted, or that the hub's client has in its own cache."""
    if revision is not None and _COMMIT.fullmatch(revision):
        return revision
    path = _path(name, revision)
    if path.is_file():
        commit = path.read_text(encoding="ascii", errors="replace")
        if _COMMIT.fullmatch(commit):
            return commit
    snapshot = snapshot_folder(name, revision)
    return snapshot and snapshot.name


def snapshot_folder(name: str, revision: str | None) -> Path | None:
    """Folder of a download in the cache of the hub's client, whole or in part; None for none."""
    path = try_to_load_from_cache(name, CONFIG_FILE, revision=revision)
    return Path(path).parent if isinstance(path, str) else None


def _path(name: str, revision: str | None) -> Path:
    folder = models_folder() / name.replace("/", "--") / "refs"
    return folder / quote(revision or constants.DEFAULT_REVISION, safe="")
