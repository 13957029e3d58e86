"""Masks for sentences in a few lines of Python."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from mmcv.transforms import Compose
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import load_checkpoint
from mmseg.registry import MODELS

from mmseg_mllm.compat import quiet_upstream
from mmseg_mllm.datasets.images import read_rgb
from mmseg_mllm.datasets.transforms import PackReferringInputs, ResizeToInput
from mmseg_mllm.engine.config import load_config
from mmseg_mllm.errors import ConfigError
from mmseg_mllm.models import MLLMSegmentor
from mmseg_mllm.models.checkpoints import readable
from mmseg_mllm.models.model_folder import use_model_folder
from mmseg_mllm.prompts import expression_problem


@dataclass(frozen=True, kw_only=True)
class Segmentation:
    """What a model sees for one expression.

    Attributes:
        expression: As asked.
        mask: (H, W) bool at the image's own size.
        score: log p([SEG]) - log p([REJ]); below 0 the model holds that there is no such thing.
    """

    expression: str
    mask: np.ndarray
    score: float


class RESPredictor:
    """Ask a model for masks: set an image, then segment expressions. Not thread-safe.

    Args:
        model: A segmentor with its weights.
    """

    def __init__(self, *, model: MLLMSegmentor) -> None:
        self.model = model.eval()
        self._pipeline = Compose([ResizeToInput(size=model.backbone.image_size), PackReferringInputs()])
        self._image: np.ndarray | None = None
        self._path = ""

    @classmethod
    def from_config(
        cls, config: str | Config, checkpoint: str, *, device: str | torch.device | None = None
    ) -> "RESPredictor":
        """Build the model of a config and load its checkpoint.

        Args:
            config: Config file, or a config.
            checkpoint: Checkpoint file of that config, or a folder made by ``tools/model_converters``.
            device: 'cuda' if there is one by default.

        Raises:
            ConfigError: there is no such config.
            CheckpointError: the checkpoint can't be read, or is of another model.
        """
        config = load_config(config) if isinstance(config, str) else config
        init_default_scope("mmseg")
        model_config = copy.deepcopy(config.model)
        in_folder = Path(checkpoint).is_dir()
        if in_folder:
            use_model_folder(model_config, checkpoint)
        with quiet_upstream():
            model = MODELS.build(model_config)
        if not in_folder:
            with readable(checkpoint):
                load_checkpoint(model, checkpoint, map_location="cpu")
        return cls(model=model.to(device or ("cuda" if torch.cuda.is_available() else "cpu")))

    def set_image(self, image: str | Path | np.ndarray) -> None:
        """Choose the image of the next questions.

        Args:
            image: A file, or (H, W, 3) uint8 RGB.

        Raises:
            DataError: the file is missing or broken.
            ConfigError: the array is not an RGB image.
        """
        if isinstance(image, np.ndarray):
            if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
                raise ConfigError(
                    f"an image must be (H, W, 3) uint8 RGB, this array is {image.shape} {image.dtype}"
                )
            self._image, self._path = image, "array"
        else:
            self._image, self._path = read_rgb(image), str(image)

    def segment(self, expressions: str | Sequence[str]) -> list[Segmentation]:
        """One mask per expression for the image that was set.

        Raises:
            ConfigError: no image was set, or an expression has no words or holds a special token.
        """
        if self._image is None:
            raise ConfigError("no image to segment in: call set_image first")
        expressions = [expressions] if isinstance(expressions, str) else list(expressions)
        for expression in expressions:
            problem = expression_problem(expression)
            if problem:
                raise ConfigError(f"this expression {problem}: {expression!r}")
        if not expressions:
            return []
        data = self._pipeline(
            dict(
                img=self._image,
                img_path=self._path,
                ori_shape=self._image.shape[:2],
                expressions=[dict(text=e, ann_ids=()) for e in expressions],
            )
        )
        sample = self.model.test_step(dict(inputs=[data["inputs"]], data_samples=[data["data_samples"]]))[0]
        masks, scores = sample.pred_instances.masks.cpu().numpy(), sample.pred_instances.scores.tolist()
        return [
            Segmentation(expression=expression, mask=mask, score=score)
            for expression, mask, score in zip(expressions, masks, scores, strict=True)
        ]
