"""A run of ``mmseg-mllm segment``: what is left to do, doing it, and what is told about it."""

import sys
from collections.abc import Sequence
from pathlib import Path

from mmseg_mllm.apis.predictor import RESPredictor
from mmseg_mllm.batch.ahead import in_background
from mmseg_mllm.batch.coco_file import write_coco
from mmseg_mllm.batch.names import FileNames
from mmseg_mllm.batch.processes import Processes
from mmseg_mllm.batch.progress import ImageProgress
from mmseg_mllm.batch.records import (
    RecordWriter,
    merge_records,
    own_file,
    read_records,
    record_files,
)
from mmseg_mllm.batch.run import segment_all
from mmseg_mllm.batch.settings import RunSettings
from mmseg_mllm.batch.writer import ImageWriter
from mmseg_mllm.compat import quiet_upstream
from mmseg_mllm.engine.threads import choose_threads
from mmseg_mllm.errors import MMSegMLLMError
from mmseg_mllm.input_size import InputSize
from mmseg_mllm.models.segmentors.protocols import protocol_of

BROKEN_FILE = "not_read.txt"
MAX_TOLD = 20
"""Broken images that are listed on the console."""


class SegmentJob:
    """Segments images into a folder, and goes on where an earlier run was stopped.

    Processes of torchrun share the images; each has a part of the list, whatever was done before.

    Args:
        images: Absolute paths and URLs, each once.
        expressions: What is asked of each.
        model, revision, image_size, device: As for ``RESPredictor.from_pretrained``.
        protocol: Name of a way of asking; the model's own by default.
        out: Folder of the results.
        saves: Of ``settings.SAVES``.
        batch_size: Images that pass through the model together.
    """

    def __init__(
        self,
        *,
        images: Sequence[str],
        expressions: Sequence[str],
        model: str,
        revision: str | None,
        protocol: str | None,
        image_size: InputSize | None,
        device: str | None,
        out: Path,
        saves: Sequence[str],
        batch_size: int,
    ) -> None:
        self.processes = Processes()
        self.images, self.expressions = images, list(expressions)
        self.model, self.revision, self.protocol = model, revision, protocol
        self.image_size, self.device = image_size, device
        self.out, self.saves, self.batch_size = out, list(saves), batch_size

    def run(self) -> bool:
        """Do what is left, and tell what came of it.

        Returns:
            Whether all images could be read.

        Raises:
            MMSegMLLMError: the model can't be had, or the folder holds results of another run or can't be
                written.
        """
        predictor = self._load()
        predictor.check_expressions(self.expressions)
        if self.processes.is_first:
            self._settings(predictor).claim(self.out)
        self.processes.wait()
        broken = self.processes.gather(self._segment(predictor))
        if self.processes.is_first:
            merge_records(self.out)
            if "coco" in self.saves:
                write_coco(own_file(self.out, 0), self.expressions)
            self._tell(broken)
        self.processes.wait()
        self.processes.end()
        return not broken

    def _load(self) -> RESPredictor:
        """The model; the first process is ahead, so that a download or conversion is done once."""
        if not self.processes.is_first:
            self.processes.wait()
        choose_threads()
        with quiet_upstream():
            predictor = RESPredictor.from_pretrained(
                self.model,
                device=self.processes.device(self.device),
                revision=self.revision,
                image_size=self.image_size,
            )
        if self.protocol:
            predictor.model.protocol = protocol_of(self.protocol)
        if self.processes.is_first:
            self.processes.wait()
        return predictor

    def _settings(self, predictor: RESPredictor) -> RunSettings:
        source = predictor.source
        return RunSettings(
            model=str(source.folder.resolve()) if Path(source.name).expanduser().is_dir() else source.name,
            revision=source.revision,
            image_size=predictor.model.backbone.image_size,
            protocol=predictor.model.protocol.name,
            expressions=self.expressions,
            saves=[name for name in self.saves if name != "coco"],
        )

    def _segment(self, predictor: RESPredictor) -> list[tuple[str, str]]:
        """Do this process's part; gives its images that can't be read, with the reasons."""
        done = {record["image"] for path in record_files(self.out) for _, record in read_records(path)}
        names = FileNames({*self.images, *done})
        todo = [image for image in self.processes.share(self.images) if image not in done]
        own = len(self.processes.share(self.images))
        records = RecordWriter(own_file(self.out, self.processes.rank))
        writer = ImageWriter(folder=self.out, saves=self.saves, names=names, records=records)
        asked = ((image, self.expressions) for image in todo)
        answers = zip(todo, segment_all(predictor, asked, batch_size=self.batch_size), strict=True)
        broken = []
        with ImageProgress(total=own, done=own - len(todo), quiet=not self.processes.is_first) as progress:
            for (image, found), writing in in_background(answers, writer.write, ahead=self.batch_size):
                writing.result()
                if isinstance(found, MMSegMLLMError):
                    broken.append((image, str(found)))
                progress.advance(1)
        records.close()
        return broken

    def _tell_results(self, image: str) -> None:
        found = next(r for _, r in read_records(own_file(self.out, 0)) if r["image"] == image)
        for result in found["results"]:
            box = " ".join(f"{number:.0f}" for number in result["box"])
            there = f"{result['area']:,} pixels, box {box}" if result["exists"] else "not there"
            print(f"  {result['expression']}: {there}")

    def _tell(self, broken: Sequence[tuple[str, str]]) -> None:
        good, asked = len(self.images) - len(broken), len(self.expressions)
        each = f"{asked:,} expression{'s' if asked > 1 else ''} each"
        print(f"{good:,} of {len(self.images):,} images, {each}: {self.out}")
        if len(self.images) == good == 1:
            self._tell_results(self.images[0])
        path = self.out / BROKEN_FILE
        path.unlink(missing_ok=True)
        if not broken:
            return
        reasons = [reason.replace("\n", " ") for _, reason in broken]
        path.write_text("\n".join(reasons) + "\n", encoding="utf-8", errors="backslashreplace")
        print(f"{len(broken):,} images could not be read:", file=sys.stderr)
        for reason in reasons[:MAX_TOLD]:
            print(f"  {reason}", file=sys.stderr)
        if len(reasons) > MAX_TOLD:
            print(f"  and {len(reasons) - MAX_TOLD:,} more; all of them are in {path}", file=sys.stderr)
