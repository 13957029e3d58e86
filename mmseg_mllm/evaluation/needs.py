"""Which kinds of words the expressions of a made dataset need; written beside its annotations."""

from pathlib import Path

from mmseg_mllm.datasets.json_file import read_json
from mmseg_mllm.errors import DataError

NEEDS_FILE = "needs.json"
"""Beside ``instances.json``: sentence id (as text) -> list of kinds of words, such as colour or relation."""


def read_needs(ann_file: str | Path) -> dict[str, list[str]]:
    """The needs of a dataset's expressions, by sentence id as text.

    Args:
        ann_file: Its ``instances.json``.

    Raises:
        DataError: the dataset has no such file, or it can't be read.
    """
    path = Path(ann_file).with_name(NEEDS_FILE)
    if not path.is_file():
        raise DataError(
            f"{path}: no such file, so what each expression needs is not known; toy data have it (make them "
            "with tools/dataset_converters/make_toy_refcoco.py)"
        )
    needs = read_json(path)
    if not isinstance(needs, dict) or not all(_is_names(names) for names in needs.values()):
        raise DataError(f"{path}: not an object of sentence ids with lists of names")
    return needs


def _is_names(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)
