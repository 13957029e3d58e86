"""A model of the hub to a model folder on this machine."""

import shutil
from pathlib import Path

from huggingface_hub import HfApi, constants, hf_hub_download, snapshot_download, try_to_load_from_cache
from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

from mmseg_mllm.compat import HubTransportError
from mmseg_mllm.conversion.head_names import OFFICIAL_PREFIX
from mmseg_mllm.conversion.original_config import CONFIG_FILE
from mmseg_mllm.errors import CheckpointError, ConfigError, MMSegMLLMError
from mmseg_mllm.hub.converted import convert_once, converted_folder, models_folder
from mmseg_mllm.hub.listing import Listing
from mmseg_mllm.hub.refs import remember, remembered, snapshot_folder
from mmseg_mllm.hub.refusals import told
from mmseg_mllm.models.json_object import read_json
from mmseg_mllm.models.model_folder import DECODE_HEAD_FILE
from mmseg_mllm.models.model_settings import SETTINGS_FILE

ANSWER_SECONDS = 20.0
"""How long the hub may take to say what a repository holds."""


def fetch_model(name: str, *, revision: str | None) -> tuple[Path, str]:
    """Download what is not here yet, convert what is the authors', and remember it for next time.

    Where the hub can't be reached, or ``HF_HUB_OFFLINE`` says that it shall not be, it is what was there when
    it was asked last.

    Args:
        name: OWNER/NAME.
        revision: Branch, tag or commit; None is the main branch.

    Returns:
        The model folder, and the commit.

    Raises:
        CheckpointError, ConfigError: as :func:`mmseg_mllm.hub.find_model`.
    """
    try:
        with told(name, revision, doing="can't be asked for; try again later"):
            listing = _listing(name, revision)
    except _UnreachableError as error:
        return _from_cache(name, revision, str(error))
    commit = listing.commit
    folder = converted_folder(name, commit)
    if not folder.is_dir():
        _check_kind(name, listing)
        _check_disk(name, listing)
        with told(name, revision, doing="the download broke off: ask again, files that are whole are kept"):
            folder = Path(snapshot_download(name, revision=commit, allow_patterns=listing.needed))
        if not listing.described:
            folder = convert_once(name, commit, folder)
    remember(name, revision, commit)
    return folder, commit


class _UnreachableError(MMSegMLLMError):
    """No answer at all from the hub; the message says why."""


def _listing(name: str, revision: str | None) -> Listing:
    try:
        info = HfApi().model_info(name, revision=revision, files_metadata=True, timeout=ANSWER_SECONDS)
    except HfHubHTTPError as error:
        if error.response.status_code < 500:
            raise
        raise _UnreachableError(f"{constants.ENDPOINT} answers {error.response.status_code}") from None
    except OfflineModeIsEnabled:
        raise _UnreachableError("HF_HUB_OFFLINE is set") from None
    except HubTransportError as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise _UnreachableError(f"{constants.ENDPOINT} can't be reached ({reason})") from None
    return Listing(commit=info.sha, sizes={file.rfilename: file.size or 0 for file in info.siblings})


def _from_cache(name: str, revision: str | None, reason: str) -> tuple[Path, str]:
    commit = remembered(name, revision)
    if commit is not None:
        folder = converted_folder(name, commit)
        if folder.is_dir():
            return folder, commit
        snapshot = snapshot_folder(name, commit)
        if snapshot is not None:
            described = (snapshot / SETTINGS_FILE).is_file()
            return snapshot if described else convert_once(name, commit, snapshot), commit
    kept = ", ".join(_kept()) or "nothing"
    asked = f"{name} (revision {revision})" if revision else name
    raise CheckpointError(
        f"{asked}: {reason}, and it is not among what was downloaded before ({kept}); connect once, or name "
        "a folder"
    )


def _kept() -> list[str]:
    """Names of models that can be had without a network."""
    return sorted(path.parent.name.replace("--", "/", 1) for path in models_folder().glob("*/refs"))


def _check_kind(name: str, listing: Listing) -> None:
    """See, before gigabytes are downloaded, that this is a model of ours or of MLLMSeg's authors."""
    if listing.described:
        return
    if DECODE_HEAD_FILE in listing.sizes:
        raise CheckpointError(
            f"{name}: is a model folder of an earlier version, without {SETTINGS_FILE}; download it, and add "
            "that file with tools/model_converters/describe_folder.py"
        )
    what = "neither a model folder of mmseg_mllm nor a release of MLLMSeg"
    if CONFIG_FILE not in listing.sizes or not listing.weights:
        some = ", ".join(sorted(listing.sizes)[:3]) or "no files"
        raise CheckpointError(f"{name}: {what}; it holds {some}")
    with told(name, listing.commit, doing="the download broke off; ask again"):
        config = read_json(Path(hf_hub_download(name, CONFIG_FILE, revision=listing.commit)))
        if config.get("model_type") != "internvl_chat":
            raise CheckpointError(f"{name}: {what}; it is of model_type {config.get('model_type')!r:.60}")
        tensors = _tensor_names(name, listing)
        if tensors is not None and not any(tensor.startswith(OFFICIAL_PREFIX) for tensor in tensors):
            raise CheckpointError(
                f"{name}: a base without a mask decoder; it is for training (tools/model_converters/"
                "internvl2hf.py)"
            )


def _tensor_names(name: str, listing: Listing) -> list[str] | None:
    """Names of the tensors of a repository, without downloading them; None where that can't be done."""
    first = listing.weights[0]
    if first.endswith(".index.json"):
        index = read_json(Path(hf_hub_download(name, first, revision=listing.commit)))
        return list(index.get("weight_map") or {})
    if first.endswith(".safetensors"):
        return list(HfApi().parse_safetensors_file_metadata(name, first, revision=listing.commit).tensors)
    return None


def _check_disk(name: str, listing: Listing) -> None:
    new = [
        path
        for path in listing.needed
        if not isinstance(try_to_load_from_cache(name, path, revision=listing.commit), str)
    ]
    download = listing.bytes_of(new)
    converted = 0 if listing.described else listing.bytes_of(listing.weights)
    needs: dict[int, tuple[Path, int]] = {}
    for folder, size in ((Path(constants.HF_HUB_CACHE), download), (models_folder(), converted)):
        there = next(path for path in (folder.expanduser(), *folder.expanduser().parents) if path.exists())
        device = there.stat().st_dev
        needs[device] = there, size + (needs[device][1] if device in needs else 0)
    for there, size in needs.values():
        free = shutil.disk_usage(there).free
        if size > free:
            raise ConfigError(
                f"{name}: needs {_gigabytes(size)} ({_gigabytes(download)} to download, "
                f"{_gigabytes(converted)} converted), the disk of {there} has {_gigabytes(free)} free; free "
                "some space, or set HF_HOME to a folder on another disk"
            )


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.3g} GB"
