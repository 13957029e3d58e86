"""Masks in the manner of MMEngine's inferencers: many images in one call."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.structures import InstanceData
from mmseg.structures import SegDataSample

from mmseg_mllm.apis.predictor import RESPredictor
from mmseg_mllm.apis.segmentation import Segmentations
from mmseg_mllm.apis.sources import ImageSource
from mmseg_mllm.batch.coco_file import write_coco
from mmseg_mllm.batch.images import find_images
from mmseg_mllm.batch.names import FileNames
from mmseg_mllm.batch.progress import ImageProgress
from mmseg_mllm.batch.records import RecordWriter, own_file
from mmseg_mllm.batch.run import segment_all
from mmseg_mllm.batch.writer import ImageWriter
from mmseg_mllm.errors import ConfigError, MMSegMLLMError


class RESInferencer:
    """Asks about many images in one call.

    Args:
        model: Name of a model as for ``RESPredictor.from_pretrained``, or a config file with ``weights``, or
            a predictor that is there already. It is asked in its own protocol.
        weights: Checkpoint or model folder of the config.
        device: 'cuda' if there is one by default.
        show_progress: Show how far a call is.

    Raises:
        CheckpointError, ConfigError: as for ``RESPredictor.from_pretrained`` and ``from_config``.
    """

    def __init__(
        self,
        model: str | Path | RESPredictor = "tiny",
        weights: str | None = None,
        *,
        device: str | torch.device | None = None,
        show_progress: bool = True,
    ) -> None:
        if isinstance(model, RESPredictor):
            self.predictor = model
        elif weights is not None:
            self.predictor = RESPredictor.from_config(str(model), weights, device=device)
        else:
            self.predictor = RESPredictor.from_pretrained(model, device=device)
        self.show_progress = show_progress

    def __call__(
        self,
        images: ImageSource | Sequence[ImageSource],
        texts: str | Sequence[str] | Sequence[Sequence[str]],
        *,
        batch_size: int = 1,
        out_dir: str | Path | None = None,
        show: bool = False,
        return_datasamples: bool = False,
    ) -> dict[str, list]:
        """Ask about each image.

        Args:
            images: One or several, as for ``RESPredictor.set_image``; a folder or pattern is all its images.
            texts: An expression, several for each image, or a list of them for every image.
            batch_size: Images that pass through the model together.
            out_dir: Write overlays, masks, ``results.jsonl`` and ``coco.json`` into this folder, as
                ``mmseg-mllm segment`` does.
            show: Open a window with each overlay.
            return_datasamples: Give data samples instead of dicts.

        Returns:
            ``predictions``, one for each image: a list of dicts (see ``Segmentation.to_dict``), or a
            ``SegDataSample`` with ``expressions`` and ``pred_instances`` as from ``MLLMSegmentor.predict``,
            without ``probabilities``, on the CPU.

        Raises:
            DataError: an image can't be read.
            ConfigError: texts and images don't fit each other, or the folder holds results or can't be
                written.
        """
        sources = _sources(images)
        asked = _asked(texts, len(sources))
        names = [_name(source, k) for k, source in enumerate(sources, start=1)]
        writer = None if out_dir is None else _writer(Path(out_dir), names)
        predictions: list[Any] = []
        answers = segment_all(self.predictor, zip(sources, asked, strict=True), batch_size=batch_size)
        with ImageProgress(total=len(sources), quiet=not self.show_progress) as progress:
            for name, found in zip(names, answers, strict=True):
                if isinstance(found, MMSegMLLMError):
                    raise found
                if writer is not None:
                    writer.write((name, found))
                if show:
                    found.plot().show(title=name)
                predictions.append(
                    _sample(name, found) if return_datasamples else [r.to_dict() for r in found]
                )
                progress.advance(1)
        if writer is not None:
            writer.records.close()
            write_coco(own_file(writer.folder, 0), [text for expressions in asked for text in expressions])
        return dict(predictions=predictions)


def _sources(images: ImageSource | Sequence[ImageSource]) -> list[ImageSource]:
    sources: list[ImageSource] = []
    for image in images if isinstance(images, list | tuple) else [images]:
        sources += find_images([str(image)]) if isinstance(image, str | Path) else [image]
    return sources


def _asked(texts: str | Sequence[str] | Sequence[Sequence[str]], count: int) -> list[list[str]]:
    texts = [texts] if isinstance(texts, str) else list(texts)
    if all(isinstance(text, str) for text in texts):
        return [texts] * count
    if any(isinstance(text, str) for text in texts) or len(texts) != count:
        raise ConfigError(
            f"texts must be one list for all images or a list for each of the {count} images, these are "
            f"{len(texts)} entries"
        )
    return [list(expressions) for expressions in texts]


def _name(source: ImageSource, number: int) -> str:
    return source if isinstance(source, str) else f"image{number}"


def _writer(folder: Path, names: Sequence[str]) -> ImageWriter:
    path = own_file(folder, 0)
    if path.exists():
        raise ConfigError(f"out_dir {folder}: holds results already; give another one, or remove it")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        records = RecordWriter(path)
    except OSError as error:
        raise ConfigError(f"out_dir {folder}: can't be written ({error.strerror or error})") from None
    return ImageWriter(folder=folder, saves=("overlay", "mask"), names=FileNames(names), records=records)


def _sample(name: str, found: Segmentations) -> SegDataSample:
    sample = SegDataSample(
        metainfo=dict(img_path=name, ori_shape=found.size, expressions=[r.expression for r in found])
    )
    masks = np.stack([result.mask for result in found]) if found else np.zeros((0, *found.size), bool)
    sample.pred_instances = InstanceData(
        masks=torch.from_numpy(masks),
        bboxes=torch.tensor([result.box for result in found], dtype=torch.float32).reshape(-1, 4),
        scores=torch.tensor([result.score for result in found], dtype=torch.float32),
        rejected=torch.tensor([not result.exists for result in found], dtype=torch.bool),
    )
    return sample
