"""The parquet files of a dataset of the hub, by split."""

import re
from dataclasses import dataclass
from pathlib import Path

from mmseg_mllm.errors import DataError

# val-00000-of-00004.parquet, with a hash behind it in older sets.
_SHARD = re.compile(r"(?P<split>.+)-(?P<number>\d{5})-of-(?P<total>\d{5})(-[0-9a-f]+)?")


@dataclass(frozen=True, kw_only=True)
class Shard:
    """One file: its split, its number from 0, and how many the split has; None where its name doesn't say."""

    path: Path
    split: str
    number: int
    total: int | None


def find_shards(source: str | Path) -> list[Shard]:
    """A file, or all files in a folder and below, by split and number.

    The split is in the name of a file, or it is the folder's name where files are only numbered
    (0000.parquet).

    Raises:
        DataError: there is none, or some of a split are missing.
    """
    source = Path(source)
    if source.is_file():
        return [_shard(source)]
    shards = [_shard(path) for path in source.rglob("*.parquet") if path.is_file()]
    if not shards:
        raise DataError(f"{source}: no parquet file, nor a folder with some; name what was downloaded")
    totals = {(shard.path.parent, shard.split): shard.total for shard in shards if shard.total}
    for (folder, split), total in totals.items():
        own = {shard.number for shard in shards if (shard.path.parent, shard.split) == (folder, split)}
        missing = sorted(set(range(total)) - own)
        if missing:
            raise DataError(
                f"{folder}: {len(missing)} of {total} files of {split} are missing, such as "
                f"{split}-{missing[0]:05}-of-{total:05}; download them, or name the files one by one"
            )
    return sorted(shards, key=lambda shard: (shard.split, shard.number, shard.path))


def _shard(path: Path) -> Shard:
    found = _SHARD.fullmatch(path.stem)
    if found:
        numbers = dict(number=int(found["number"]), total=int(found["total"]))
        return Shard(path=path, split=found["split"], **numbers)
    if path.stem.isdecimal():
        return Shard(path=path, split=path.absolute().parent.name, number=int(path.stem), total=None)
    return Shard(path=path, split=path.stem, number=0, total=None)
