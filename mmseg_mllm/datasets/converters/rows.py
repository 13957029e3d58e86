"""Rows of parquet files, a few at a time."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmseg_mllm.datasets.limits import MAX_RECORDS, check_limit
from mmseg_mllm.errors import ConfigError, DataError
from mmseg_mllm.lfs import refuse_lfs_pointer

if TYPE_CHECKING:
    from pyarrow.parquet import ParquetFile

ROWS_AT_ONCE = 16
BUFFER = 2**20
"""Bytes of a column that are read from the file at once, in place of all that a row group has."""


def column_names(path: Path) -> list[str]:
    """Names of the columns at the top.

    Raises:
        DataError: see :func:`rows`.
        ConfigError: pyarrow is missing.
    """
    with _opened(path) as file:
        return file.schema_arrow.names


def rows(path: Path, *, columns: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Rows of a parquet file as plain values, row group by row group.

    In memory are some rows, and up to a row group of the columns: where values are large, a writer makes one
    page of all that the group has.

    Args:
        path: The file.
        columns: Those to read.

    Raises:
        DataError: the file is broken or has more rows than the bound.
        ConfigError: pyarrow is missing.
    """
    with _opened(path) as file:
        check_limit(f"{path}: the file has", file.metadata.num_rows, MAX_RECORDS, unit="rows")
        for group in range(file.num_row_groups):
            batches = file.iter_batches(
                batch_size=ROWS_AT_ONCE, row_groups=[group], columns=list(columns), use_threads=False
            )
            for batch in batches:
                yield from batch.to_pylist()


@contextmanager
def _opened(path: Path) -> Iterator["ParquetFile"]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise ConfigError("reading parquet files needs pyarrow: pip install 'mmseg_mllm[parquet]'") from None
    refuse_lfs_pointer(path, DataError)
    try:
        with parquet.ParquetFile(path, buffer_size=BUFFER, pre_buffer=False) as file:
            yield file
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: can't be read as parquet ({error!s:.200}); download it again") from None
