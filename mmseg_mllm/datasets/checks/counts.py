"""What the splits hold, against what was published."""

from dataclasses import asdict, dataclass

from mmseg_mllm.datasets.checks.folder import RefsFile
from mmseg_mllm.datasets.checks.official import Counts, official_counts
from mmseg_mllm.datasets.checks.problems import Kind


@dataclass(frozen=True, kw_only=True)
class SplitCounts:
    """What a split holds and, if that is known, what the published one does."""

    split: str
    found: Counts
    official: Counts | None

    def differences(self) -> list[str]:
        """What differs, such as '5 of 10 images'."""
        found, official = (asdict(counts) if counts else {} for counts in (self.found, self.official))
        return [
            f"{found[name]:,} of {number:,} {name}"
            for name, number in official.items()
            if number not in (None, found[name])
        ]


def count_splits(file: RefsFile) -> list[SplitCounts]:
    """Count, in the order of the file and with the published splits that it lacks.

    Adds what differs to the file's problems.
    """
    official = official_counts(dataset=file.path.absolute().parent.name, refs_file=file.path.name)
    splits: dict[str, list[dict]] = {}
    for ref in file.refs:
        splits.setdefault(ref["split"], []).append(ref)
    if splits:
        splits |= {split: [] for split in official if split not in splits}
    result = [
        SplitCounts(split=split, found=_count(refs), official=official.get(split))
        for split, refs in splits.items()
    ]
    for counts in result:
        differences = counts.differences()
        if differences:
            file.problems.add(Kind.COUNTS, counts.split, ", ".join(differences))
    return result


def _count(refs: list[dict]) -> Counts:
    images = len({ref["image_id"] for ref in refs})
    return Counts(images=images, refs=len(refs), sentences=sum(len(ref["sentences"]) for ref in refs))
