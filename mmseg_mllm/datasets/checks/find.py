"""Finding the datasets and images below a folder."""

from collections.abc import Sequence
from pathlib import Path

from mmseg_mllm.errors import DataError

INSTANCES = "instances.json"
IMAGE_FOLDERS = (
    ".",
    "train2014",
    "images",
    "images/train2014",
    "images/mscoco/images/train2014",  # where REFER's own reader looks
    "saiapr_tc-12",
    "images/saiapr_tc-12",
)
NUM_PROBES = 200


def find_datasets(root: str | Path) -> dict[Path, list[Path]]:
    """Folders at or right below ``root`` with an ``instances.json`` or refs files, and the latter.

    Raises:
        DataError: there is none.
    """
    root = Path(root)
    if not root.is_dir():
        raise DataError(f"{root}: no such folder; name the one that holds refcoco/, refcocog/, ...")
    folders = [root, *sorted(folder for folder in root.iterdir() if folder.is_dir())]
    found = {folder: _refs_files(folder) for folder in folders}
    found = {folder: own for folder, own in found.items() if own or (folder / INSTANCES).is_file()}
    if not found:
        raise DataError(
            f"{root}: no folder below has {INSTANCES} or refs*.p; see docs/datasets.md for the layout"
        )
    return found


def find_images(place: Path, names: Sequence[str]) -> Path | None:
    """The folder at or below ``place`` that holds most of the images, None if none holds any.

    Args:
        place: Looked at itself, and at its folders of the usual names.
        names: File names of the images; some of them are tried.
    """
    probes = names[:: max(1, len(names) // NUM_PROBES)]
    folders = [place / folder for folder in IMAGE_FOLDERS]
    counts = {
        folder: sum((folder / name).is_file() for name in probes) for folder in folders if folder.is_dir()
    }
    best = max(counts, key=counts.__getitem__, default=None)
    return best if best is not None and counts[best] else None


def _refs_files(folder: Path) -> list[Path]:
    return sorted(
        path for kind in ("refs", "grefs") for end in ("p", "json") for path in folder.glob(f"{kind}*.{end}")
    )
