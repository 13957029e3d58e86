"""What the page asks of the model."""

import contextlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from mmseg_mllm.apis import RESPredictor, Segmentations
from mmseg_mllm.datasets.limits import MAX_TEXT, check_limit
from mmseg_mllm.errors import ConfigError, DataError

MAX_SENTENCES = 32
"""At once, and so the results that a session keeps."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What a session holds.

    Attributes:
        image: The uploaded file.
        results: One for each sentence.
        note: What took how long, for people.
    """

    image: str
    results: Segmentations
    note: str


class Asker:
    """Asks a predictor for any number of sessions, one question after the other.

    The predictor holds images under the paths of their files, which Gradio names by their content: sessions
    with the same image share what is kept of it. One that was dropped meanwhile is looked at again.

    Args:
        predictor: Of this asker alone, or shared.
    """

    def __init__(self, *, predictor: RESPredictor) -> None:
        self._predictor = predictor
        self._lock = threading.Lock()

    def look(self, image: str | None) -> Asked:
        """See an image.

        Args:
            image: Path of a file; None for none.

        Raises:
            ConfigError: there is none, or too little memory for it.
            DataError: it is no image, or too large.
        """
        if image is None:
            raise ConfigError("no image yet: drop, paste or choose one")
        with self._turn():
            start = time.perf_counter()
            held = image in self._predictor.images
            self._hold(image)
            results = self._predictor.segment([], name=image)
        height, width = results.size
        note = f"{width} x {height} pixels, seen {'before' if held else f'in {_seconds_since(start)}'}"
        return Asked(image=image, results=results, note=note)

    def ask(self, image: str | None, text: str, *, before: Asked | None) -> Asked:
        """Ask for sentences, those alone that are new.

        Args:
            image: As for :meth:`look`.
            text: A sentence in each line.
            before: What the session holds; of another image, or None, it is of no use.

        Raises:
            ConfigError: there is no image or no sentence, one that the model can't be asked, too many, or too
                little memory for them.
            DataError: it is no image, or too large; or a sentence is too long.
        """
        seen = ""
        if before is None or before.image != image:
            before = self.look(image)
            seen = f"{before.note}; "
        sentences = _sentences(text)
        known = {result.expression: result for result in before.results}
        new = [sentence for sentence in sentences if sentence not in known]
        with self._turn():
            start = time.perf_counter()
            if new:
                self._hold(image)
            for result in self._predictor.segment(new, name=image) if new else ():
                known[result.expression] = result
        results = [known[sentence] for sentence in sentences]
        kept = len(sentences) - len(new)
        note = f"{seen}{len(new)} {'new ' if kept else ''}sentence{'' if len(new) == 1 else 's'} in " + (
            f"{_seconds_since(start)}{f', {kept} kept' if kept else ''}"
        )
        return Asked(
            image=image,
            results=Segmentations(results, size=before.results.size, picture=before.results.picture),
            note=note if new else "nothing new was asked",
        )

    @contextlib.contextmanager
    def _turn(self) -> Iterator[None]:
        """Alone at the model."""
        with self._lock:
            try:
                yield
            except torch.OutOfMemoryError:
                raise ConfigError(
                    "the model's device has too little memory for this: ask fewer sentences at once, or "
                    "start the page with a smaller model or --image-size"
                ) from None

    def _hold(self, image: str) -> None:
        if image not in self._predictor.images:
            try:
                content = Path(image).read_bytes()
            except OSError:
                raise DataError("this image is not held any more: give it again") from None
            self._predictor.set_image(content, name=image)


def _sentences(text: str) -> list[str]:
    """Lines with text, each once."""
    sentences = list(dict.fromkeys(line.strip() for line in text.splitlines() if line.strip()))
    if not sentences:
        raise ConfigError("no sentence yet: write what to look for, such as: the man in red")
    if len(sentences) > MAX_SENTENCES:
        raise ConfigError(f"these are {len(sentences)} sentences, at most {MAX_SENTENCES} are asked at once")
    for sentence in sentences:
        check_limit("a sentence has", len(sentence), MAX_TEXT, unit="characters")
    return sentences


def _seconds_since(start: float) -> str:
    return f"{time.perf_counter() - start:.2f} s"
