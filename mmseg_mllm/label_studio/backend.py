"""Label Studio's questions, answered by a model."""

import hashlib
import logging
import threading
import uuid
from collections.abc import Iterator
from typing import Any

import torch

from mmseg_mllm.apis import RESPredictor, Segmentation
from mmseg_mllm.errors import ConfigError, DataError, MMSegMLLMError
from mmseg_mllm.label_studio.brush import brush_rle
from mmseg_mllm.label_studio.images import TaskImages
from mmseg_mllm.label_studio.labeling import BRUSH, Labeling

logger = logging.getLogger(__name__)


class LabelStudioBackend:
    """Gives masks for the tasks of any number of projects; asks the model one task after the other.

    Args:
        predictor: Holds the model and the images that were asked about last.
        images: Fetches those of tasks.
    """

    def __init__(self, *, predictor: RESPredictor, images: TaskImages) -> None:
        self.predictor, self.images = predictor, images
        self._lock = threading.Lock()

    @property
    def model_version(self) -> str:
        """Name of the model, with the commit where it has one."""
        source = self.predictor.source
        if source is None:
            return "mmseg_mllm"
        return f"{source.name}@{source.revision[:12]}" if source.revision else source.name

    def setup(self, request: dict[str, Any]) -> dict[str, Any]:
        """See that a project's labels can be served.

        Raises:
            ConfigError: they can't.
        """
        Labeling.of(request.get("schema"))
        return dict(model_version=self.model_version)

    def predict(self, request: dict[str, Any]) -> dict[str, Any]:
        """Predictions for tasks, in their order.

        A task that fails among others gets none, and is told in the log: Label Studio asks for it again.

        Raises:
            ConfigError: the project's labels can't be served.
            DataError: the request is none, or all tasks failed; the message is that of the first.
        """
        labeling = Labeling.of(request.get("label_config"))
        tasks, params = request.get("tasks"), request.get("params")
        context = params.get("context") if isinstance(params, dict) else None
        if not isinstance(tasks, list) or not all(isinstance(task, dict) for task in tasks):
            raise DataError("the request has no list of tasks")
        results: list[Any] = []
        failed: list[MMSegMLLMError] = []
        for task in tasks:
            try:
                results.append(self._prediction(labeling, task, context))
            except MMSegMLLMError as error:
                failed.append(error)
                told = f"task {task.get('id')}: {error}"
                # Half characters can't be written to every log.
                logger.error("%s", told.encode(errors="backslashreplace").decode())
                results.append([])
        if failed and len(failed) == len(tasks):
            raise failed[0]
        return dict(results=results, model_version=self.model_version)

    def _prediction(self, labeling: Labeling, task: dict[str, Any], context: object) -> dict[str, Any]:
        data = task.get("data")
        if not isinstance(data, dict):
            raise DataError("the task holds no data")
        asked = labeling.asked(data, context)
        content = self.images.fetch(data.get(labeling.image_key), task=task.get("id"))
        found = self._segment(content, [text for text, _ in asked])
        there = [(result, label) for result, (_, label) in zip(found, asked, strict=True) if result.found]
        return dict(
            result=[region for result, label in there for region in _regions(labeling, result, label)],
            score=sum(result.confidence for result, _ in there) / max(1, len(there)),
            model_version=self.model_version,
        )

    def _segment(self, content: bytes, texts: list[str]) -> list[Segmentation]:
        name = hashlib.sha256(content).hexdigest()
        try:
            with self._lock:
                if name not in self.predictor.images:
                    self.predictor.set_image(content, name=name)
                return self.predictor.segment(texts, name=name)
        except torch.OutOfMemoryError:
            raise ConfigError(
                f"the device has too little memory for {len(texts)} sentences at a time; ask for fewer"
            ) from None


def _regions(labeling: Labeling, result: Segmentation, label: str) -> Iterator[dict[str, Any]]:
    """One region of a brush, or one for each part of a mask."""
    height, width = result.size
    kind = labeling.control.lower()
    if labeling.control == BRUSH:
        values = [dict(format="rle", rle=brush_rle(result.mask))]
    else:
        scales = (100 / width, 100 / height)
        outlines = [zip(line[::2], line[1::2], strict=True) for line in result.polygons()]
        values = [
            dict(points=[[x * scales[0], y * scales[1]] for x, y in outline], closed=True)
            for outline in outlines
        ]
    for value in values:
        yield dict(
            id=uuid.uuid4().hex[:10],
            from_name=labeling.control_name,
            to_name=labeling.image_name,
            type=kind,
            original_width=width,
            original_height=height,
            image_rotation=0,
            value={**value, kind: [label]},
            score=result.confidence,
            meta=dict(text=[result.expression]),
        )
