"""Text files with one entry in a line."""

from pathlib import Path

from mmseg_mllm.datasets.limits import check_limit
from mmseg_mllm.errors import DataError

MAX_LIST_BYTES = 512 * 2**20


def read_lines(path: Path) -> list[tuple[int, str]]:
    """(number, text) of each line that is not blank, without the space around it; the first is number 1.

    Raises:
        DataError: the file is missing, too large, or is no text in UTF-8.
    """
    try:
        check_limit(f"{path}: the file has", path.stat().st_size, MAX_LIST_BYTES, unit="bytes")
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise DataError(f"{path}: is no text in UTF-8; write one entry in a line") from None
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: can't be read ({getattr(error, 'strerror', None) or error})") from None
    if "\0" in text:
        raise DataError(f"{path}: is no text (it holds zero bytes); write one entry in a line")
    lines = enumerate(text.split("\n"), start=1)
    return [(number, line.strip()) for number, line in lines if line.strip()]
