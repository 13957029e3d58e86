"""Reading one dataset folder, as far as its files can be read."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mmseg_mllm.datasets.checks.find import INSTANCES
from mmseg_mllm.datasets.checks.problems import Kind, Problems
from mmseg_mllm.datasets.refer import annotation_ids, load_instances, load_refs, split_parts
from mmseg_mllm.datasets.referring_json import load_referring_json
from mmseg_mllm.errors import DataError

Track = Callable[[Sequence, str], Iterable]
"""Gives the items of a sequence one after the other, and shows how far it is; the text says what is done."""


@dataclass(frozen=True, kw_only=True)
class RefsFile:
    """One refs file, or a referring JSON: its refs with sentences, none where it can't be read."""

    path: Path
    refs: list[dict]
    problems: Problems

    @property
    def is_grefcoco(self) -> bool:
        """Whether masks may cover nothing, as some of the published gRefCOCO."""
        return self.path.name.startswith("grefs")

    @property
    def may_lack_target(self) -> bool:
        return self.is_grefcoco or self.path.suffix == ".json"


@dataclass(frozen=True, kw_only=True)
class Folder:
    """A dataset folder, or a referring JSON by its own name.

    Attributes:
        files: Its refs files.
        images, annotations: Records by id, of the annotations those in use; None where ``instances.json``
            can't be read.
        upright: Whether masks are for images turned as their EXIF says.
    """

    path: Path
    files: list[RefsFile]
    images: dict | None
    annotations: dict | None
    upright: bool


def read_referring(path: Path) -> Folder:
    """Read a referring JSON; that it can't be used is among the problems."""
    file = RefsFile(path=path, refs=[], problems=Problems())
    try:
        found = load_referring_json(path)
    except DataError as error:
        file.problems.add(Kind.FILE, "", str(error))
        return Folder(path=path, files=[file], images=None, annotations=None, upright=True)
    file.refs.extend(found.refs)
    return Folder(
        path=path,
        files=[file],
        images=found.images,
        annotations=found.annotations,
        upright=found.upright is not False,
    )


def read_folder(path: Path, refs_files: Sequence[Path], track: Track) -> Folder:
    """Read all files of a folder; what can't be read is among the problems.

    Args:
        path: The folder.
        refs_files: Its refs files; with none, that is a problem of a file ``refs*.p``.
        track: Shows progress.
    """
    files: list[RefsFile] = []
    images = annotations = None
    upright = False
    for file in track([*(refs_files or [path / "refs*.p"]), path / INSTANCES], f"{path.name}: reading"):
        try:
            if file.name == INSTANCES:
                ids = {i for own in files for ref in own.refs for i in annotation_ids(ref)}
                found = load_instances(file, annotation_ids=ids)
                images, annotations, upright = found.images, found.annotations, bool(found.upright)
            else:
                files.append(RefsFile(path=file, refs=[], problems=Problems()))
                for ref in (part for whole in load_refs(file) for part in split_parts(whole)):
                    if ref["sentences"]:
                        files[-1].refs.append(ref)
                    else:
                        where = f"ref {ref['ref_id']} of image {ref['image_id']}"
                        files[-1].problems.add(Kind.NO_SENTENCES, ref["split"], where)
        except DataError as error:
            for own in files if file.name == INSTANCES else files[-1:]:
                own.problems.add(Kind.FILE, "", str(error))
    return Folder(path=path, files=files, images=images, annotations=annotations, upright=upright)
