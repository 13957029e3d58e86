"""Checks all datasets in the REFER layout below a folder, or a referring JSON."""

from dataclasses import dataclass
from pathlib import Path

from mmseg_mllm.datasets.checks.counts import SplitCounts, count_splits
from mmseg_mllm.datasets.checks.find import find_datasets
from mmseg_mllm.datasets.checks.folder import Track, read_folder, read_referring
from mmseg_mllm.datasets.checks.images import ImageCheck
from mmseg_mllm.datasets.checks.masks import check_masks
from mmseg_mllm.datasets.checks.problems import Problem
from mmseg_mllm.datasets.checks.refs import check_expressions, check_ids


@dataclass(frozen=True, kw_only=True)
class RefsReport:
    """What a refs file holds, and what is wrong with it and with what it names.

    Attributes:
        dataset: Name of the folder.
        refs_file: Name of the file.
        splits: In the order of the file.
        problems: Errors first.
    """

    dataset: str
    refs_file: str
    splits: list[SplitCounts]
    problems: list[Problem]

    def count(self, severity: str) -> int:
        return sum(problem.count for problem in self.problems if problem.severity == severity)


def check_refer(
    root: str | Path,
    *,
    images: str | Path | None = None,
    decode: bool = False,
    track: Track = lambda items, text: items,
) -> list[RefsReport]:
    """Check each refs file at or right below ``root``, and the annotations, masks and images that it names.

    Args:
        root: Folder of the REFER layout, or a referring JSON (docs/custom_data.md).
        images: Folder of the images, or of their folders; ``root``, or the folder of the JSON, by default.
        decode: Decode all of each image, which finds those that are cut off; else its head is read.
        track: Shows progress.

    Raises:
        DataError: there is no dataset. All else is in the reports.
    """
    reports = []
    root = Path(root)
    is_json = root.is_file()
    check_images = ImageCheck(place=Path(images or (root.parent if is_json else root)), decode=decode)
    datasets = {root: [root]} if is_json else find_datasets(root)
    for path, refs_files in datasets.items():
        folder = read_referring(path) if is_json else read_folder(path, refs_files, track)
        for file in folder.files:
            check_ids(file, folder)
            check_expressions(file)
        check_masks(folder, track)
        check_images(folder, track)
        reports += [
            RefsReport(
                dataset=file.path.absolute().parent.name,
                refs_file=file.path.name,
                splits=count_splits(file),
                problems=file.problems.summary(),
            )
            for file in folder.files
        ]
    return reports
