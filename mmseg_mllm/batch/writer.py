"""Everything that is written about one image."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmseg_mllm.apis.segmentation import Segmentation, Segmentations
from mmseg_mllm.batch.names import FileNames
from mmseg_mllm.batch.records import RecordWriter
from mmseg_mllm.errors import ConfigError, MMSegMLLMError

OVERLAYS, MASKS = "overlays", "masks"


class ImageWriter:
    """Writes overlay and masks of an image, then its line, so that a line is there for what is done alone.

    Args:
        folder: Of the results.
        saves: Of ``settings.SAVES``.
        names: Of the images' files.
        records: Takes the lines.
    """

    def __init__(
        self, *, folder: Path, saves: Sequence[str], names: FileNames, records: RecordWriter
    ) -> None:
        self.folder, self.saves, self.names, self.records = folder, saves, names, records

    def write(self, answer: tuple[str, Segmentations | MMSegMLLMError]) -> None:
        """Write what was found in an image, nothing where it could not be read.

        Raises:
            ConfigError: the folder can't be written.
        """
        image, found = answer
        if isinstance(found, MMSegMLLMError):
            return
        height, width = found.size
        record: dict[str, Any] = dict(image=image, width=width, height=height)
        try:
            if "overlay" in self.saves:
                record["overlay"] = self._place(OVERLAYS, f"{self.names[image]}.jpg")
                found.plot().save(self.folder / record["overlay"], quality=90)
            record["results"] = [self._result(image, k, result) for k, result in enumerate(found, start=1)]
            self.records.write(record)
        except OSError as error:
            raise ConfigError(f"{self.folder}: can't be written ({error.strerror or error})") from None

    def _result(self, image: str, number: int, result: Segmentation) -> dict[str, Any]:
        record = result.to_dict()
        if "polygons" in self.saves:
            record["polygons"] = result.polygons()
        if "mask" in self.saves:
            record["mask"] = self._place(MASKS, f"{self.names[image]}_{number}.png")
            result.save(self.folder / record["mask"])
        return record

    def _place(self, folder: str, name: str) -> str:
        """Path of a file in the folder of results, where its own folder is now."""
        (self.folder / folder).mkdir(exist_ok=True)
        return f"{folder}/{name}"
