"""What a folder of results was asked, so that a run goes on with the same alone."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from mmseg_mllm.errors import ConfigError
from mmseg_mllm.input_size import InputSize

FILE = "run.json"
SAVES = ("overlay", "mask", "polygons", "coco")
"""What may be written beside the lines of results; 'coco' is made of them at the end."""


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """All on which a line of the results depends, but for its image.

    Attributes:
        model: Name, or absolute path of a folder.
        revision: Commit of a hub name.
        image_size: Of the model's input.
        protocol: How is asked.
        expressions: What is asked.
        saves: What is written for each image beside its line.
    """

    model: str
    revision: str | None
    image_size: InputSize
    protocol: str
    expressions: list[str]
    saves: list[str]

    def claim(self, folder: Path) -> None:
        """Make the folder and write the settings into it, or see that they are those of an earlier run.

        Raises:
            ConfigError: it holds results of something else, or can't be written.
        """
        path = folder / FILE
        wanted = json.loads(json.dumps(asdict(self)))  # as the file has it
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if path.is_file():
                self._compare(path, wanted)
            else:
                part = path.with_suffix(".part")
                part.write_text(json.dumps(wanted, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
                part.replace(path)
        except OSError as error:
            raise ConfigError(f"--out {folder}: can't be written ({error.strerror or error})") from None

    def _compare(self, path: Path, wanted: dict) -> None:
        try:
            there = json.loads(path.read_text(encoding="utf-8"))
        except (ValueError, RecursionError):
            there = None
        if not isinstance(there, dict):
            raise ConfigError(f"{path}: can't be read; give another --out, or remove the folder")
        for key, value in wanted.items():
            if there.get(key) != value:
                raise ConfigError(
                    f"--out {path.parent}: holds results of another run: {key} was "
                    f"{_short(there.get(key))}, now {_short(value)}. Give another --out, or remove the folder"
                )


def _short(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 200 else f"{text[:200]}..."
