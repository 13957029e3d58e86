"""Masks for sentences in a few lines of Python."""

import copy
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from mmcv.transforms import Compose
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from PIL import Image
from torch import Tensor

from mmseg_mllm.apis.segmentation import PICTURE_SIDE, Segmentations
from mmseg_mllm.apis.sources import ImageSource, load_image
from mmseg_mllm.compat import quiet_upstream
from mmseg_mllm.conversion.described_folder import folder_config
from mmseg_mllm.conversion.save import save_model
from mmseg_mllm.datasets.transforms import PackReferringInputs, ResizeToInput
from mmseg_mllm.engine.config import load_config
from mmseg_mllm.errors import ConfigError
from mmseg_mllm.hub.card import ModelCard
from mmseg_mllm.hub.push import push_model
from mmseg_mllm.hub.source import ModelSource, find_model
from mmseg_mllm.input_size import InputSize
from mmseg_mllm.models import MLLMSegmentor
from mmseg_mllm.models.answers import Answers
from mmseg_mllm.models.backbones.compute_dtype import compute_dtype
from mmseg_mllm.models.checkpoints import load_weights
from mmseg_mllm.models.features import SeenImages
from mmseg_mllm.models.model_folder import use_model_folder
from mmseg_mllm.prompts import expression_problem


@dataclass(frozen=True, kw_only=True)
class PreparedImage:
    """What a model needs of an image.

    Attributes:
        size: (H, W) of the image, upright.
        inputs: (3, H, W) uint8 RGB at the model's input size.
        picture: The image, reduced where it is large, to draw on.
    """

    size: tuple[int, int]
    inputs: Tensor
    picture: Image.Image

    def nothing(self) -> Segmentations:
        """The answer to no question."""
        return Segmentations([], size=self.size, picture=self.picture)


@dataclass(frozen=True, kw_only=True)
class _Seen:
    image: PreparedImage
    features: SeenImages

    @property
    def nbytes(self) -> int:
        """Memory on the model's device and beside it, where the picture of a small model's image is most."""
        picture = 3 * self.image.picture.width * self.image.picture.height
        return self.features.nbytes + self.image.inputs.nbytes + picture


class RESPredictor:
    """Ask a model for masks: set an image, then segment expressions, each asked alone.

    What depends on the image alone is computed once and kept: a further expression costs its own tokens.
    Several images are held under names; the least recently used ones go first where memory runs short.
    Threads may share a predictor: calls wait for one another.

    Args:
        model: A segmentor with its weights.
        max_image_bytes: How much may be kept of images. The image in use is kept in any case.
        source: Where the model came from.
    """

    def __init__(
        self,
        *,
        model: MLLMSegmentor,
        max_image_bytes: int = 2 * 2**30,
        source: ModelSource | None = None,
    ) -> None:
        self.model = model.eval()
        self.source = source
        self._max_image_bytes = max_image_bytes
        self._pipeline = Compose([ResizeToInput(size=model.backbone.image_size), PackReferringInputs()])
        self._images: OrderedDict[str, _Seen] = OrderedDict()
        self._lock = threading.RLock()

    @classmethod
    def from_pretrained(
        cls,
        name: str | Path,
        *,
        device: str | torch.device | None = None,
        dtype: str | torch.dtype | None = None,
        revision: str | None = None,
        image_size: InputSize | None = None,
        quantization: str | None = None,
        **kwargs,
    ) -> "RESPredictor":
        """Load a model by its name alone.

        Args:
            name: 'tiny', the model that comes with the package; a folder made by :meth:`save_pretrained` or
                ``tools/model_converters``; or a hub name of such a folder or of a release of MLLMSeg's
                authors, such as 'jcwang0602/MLLMSeg_InternVL2_5_1B_RES'. What is of the hub is downloaded
                once, and converted if it is the authors'; it is in HF_HOME then.
            device: 'cuda' if there is one by default.
            dtype: 'float32', 'bfloat16', or 'auto'; by default 'float32' where the weights are, otherwise
                'auto': bfloat16 where the device is fast at it.
            revision: Branch, tag or commit of a hub name.
            image_size: What images are resized to, the side of a square in pixels or (height, width); larger
                ones give finer masks for more work. Multiples of 28 for InternVL, such as 672 or 896; the
                model's own by default.
            quantization: 'nf4' or 'int8' for the LLM's linears: less memory, nearly the same masks.
            kwargs: As for the class.

        Raises:
            CheckpointError: there is no such model, it can't be had, or is damaged.
            ConfigError: the model does not take that dtype or size, or the disk is too full for it.
        """
        source = find_model(name, revision=revision)
        dtype = None if dtype is None else str(dtype).removeprefix("torch.")
        settings = dict(dtype=dtype, image_size=image_size, quantization=quantization)
        config = Config(dict(model=folder_config(source.folder, **settings)))
        return cls.from_config(config, str(source.folder), device=device, source=source, **kwargs)

    def save_pretrained(self, folder: str | Path, **card) -> None:
        """Write the model into a folder that :meth:`from_pretrained` takes, with a model card.

        LoRA in it is merged, for good.

        Args:
            folder: To make.
            card: What is known of the model: ``base``, ``data``, ``figures`` and their ``protocol``; see
                :class:`ModelCard`.

        Raises:
            ConfigError: the folder exists or can't be written, or the model has what a folder can't hold.
        """
        readme = ModelCard(**card).text(self.model, name=Path(folder).name)
        save_model(self.model, Path(folder), readme=readme)

    def push_to_hub(self, name: str, *, token: str | None = None, private: bool | None = None, **card) -> str:
        """Upload the model to the Hugging Face hub; its repository is made if it is not there.

        Args:
            name: OWNER/NAME.
            token: Of an account that may write there; that of ``hf auth login`` or HF_TOKEN by default.
            private: Whether a new repository is; by default as the account's owner has it.
            card: As for :meth:`save_pretrained`.

        Returns:
            Address of the commit.

        Raises:
            CheckpointError: the hub refuses, or can't be reached.
            ConfigError: as :meth:`save_pretrained`.
        """
        return push_model(self.model, name, token=token, private=private, card=ModelCard(**card))

    @classmethod
    def from_config(
        cls, config: str | Config, checkpoint: str, *, device: str | torch.device | None = None, **kwargs
    ) -> "RESPredictor":
        """Build the model of a config and load its weights, LoRA merged into them.

        Args:
            config: Config file, or a config.
            checkpoint: Checkpoint file of that config, or a folder made by ``tools/model_converters``.
            device: 'cuda' if there is one by default.
            kwargs: As for the class.

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
        device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        # 'auto' is meant for the device that the model will be on.
        dtype = compute_dtype(model_config.backbone.get("dtype", "float32"), device=torch.device(device).type)
        model_config.backbone.dtype = str(dtype).removeprefix("torch.")
        with quiet_upstream(), torch.device(device):
            model = MODELS.build(model_config)
        if not in_folder:
            load_weights(model, checkpoint)
            model.backbone.merge_adapters()
        return cls(model=model.to(device), **kwargs)

    @property
    def images(self) -> tuple[str, ...]:
        """Names of the images that are held, the one used last at the end."""
        with self._lock:
            return tuple(self._images)

    def set_image(self, image: ImageSource, *, name: str = "image", upright: bool = True) -> None:
        """Look at an image; the next questions are about it.

        Args:
            image: A path, an http(s) URL, the bytes of a file, a file open for reading bytes, an image of
                Pillow, or (H, W, 3) uint8 RGB.
            name: What it is called in :meth:`segment`; an image of the same name is replaced.
            upright: Turn the image as its EXIF orientation says, wherever it has one (an array has none);
                masks and boxes are those of the turned image. False takes it as stored.

        Raises:
            DataError: the image is missing, broken, too large, or can't be fetched.
            ConfigError: it is nothing of the above, or an array of another kind.
        """
        prepared = self.prepare(image, upright=upright)
        with self._lock, torch.no_grad():
            features = self.model.look(self._inputs([prepared]))
            self._images.pop(name, None)
            self._images[name] = _Seen(image=prepared, features=features)
            self._forget()

    def segment(self, expressions: str | Sequence[str], *, name: str | None = None) -> Segmentations:
        """One mask per expression.

        Args:
            expressions: One or several.
            name: Of the image; that of the last call by default.

        Raises:
            ConfigError: no such image is held, or an expression has no words or holds a special token.
        """
        expressions = [expressions] if isinstance(expressions, str) else list(expressions)
        self.check_expressions(expressions)
        with self._lock:
            seen = self._use(name)
            if not expressions:
                return seen.image.nothing()
            found = self.model.answers_on(seen.features, [_sample(expressions)])
        return _results(found, [seen.image], [expressions])[0]

    def prepare(self, image: ImageSource, *, upright: bool = True) -> PreparedImage:
        """Read and resize an image, with the arguments and errors of :meth:`set_image`.

        Other threads may be in other calls meanwhile.
        """
        pixels = load_image(image, upright=upright)
        height, width = pixels.shape[:2]
        data = self._pipeline(dict(img=pixels, expressions=[]))
        picture = Image.fromarray(pixels)
        picture.thumbnail((PICTURE_SIDE, PICTURE_SIDE))
        return PreparedImage(size=(height, width), inputs=data["inputs"], picture=picture)

    def segment_images(
        self,
        images: Sequence[ImageSource | PreparedImage],
        expressions: Sequence[Sequence[str]],
    ) -> list[Segmentations]:
        """Ask about several images at once, in the model's own protocol; nothing is kept.

        Args:
            images: As for :meth:`set_image`, or from :meth:`prepare`.
            expressions: Those of each image.

        Raises:
            DataError, ConfigError: as for :meth:`set_image` and :meth:`segment`.
        """
        for texts in expressions:
            self.check_expressions(texts)
        prepared = [x if isinstance(x, PreparedImage) else self.prepare(x) for x in images]
        if not any(expressions):
            return [image.nothing() for image in prepared]
        with self._lock, torch.no_grad():
            samples = [_sample(texts) for texts in expressions]
            found = self.model.answers(self._inputs(prepared), samples)
        return _results(found, prepared, expressions)

    def check_expressions(self, expressions: Sequence[str]) -> None:
        """See that the model can be asked these.

        Raises:
            ConfigError: one has no words or holds a special token.
        """
        tokens = self.model.backbone.tokenizer.control_tokens
        for expression in expressions:
            problem = expression_problem(expression, control_tokens=tokens)
            if problem:
                raise ConfigError(f"this expression {problem}: {expression!r}")

    def _inputs(self, images: Sequence[PreparedImage]) -> Tensor:
        """(B, 3, H, W) float, normalised, on the model's device."""
        batch = dict(inputs=[image.inputs for image in images], data_samples=None)
        return self.model.data_preprocessor(batch, training=False)["inputs"]

    def _use(self, name: str | None) -> _Seen:
        if not self._images:
            raise ConfigError("no image to segment in: call set_image first")
        name = next(reversed(self._images)) if name is None else name
        if name not in self._images:
            raise ConfigError(
                f"no image {name!r} is held, only {', '.join(self._images)}: set it again, or raise "
                "max_image_bytes if it was dropped"
            )
        self._images.move_to_end(name)
        return self._images[name]

    def _forget(self) -> None:
        """Drop the least recently used images above the bound."""
        while len(self._images) > 1 and self._held_bytes() > self._max_image_bytes:
            self._images.popitem(last=False)

    def _held_bytes(self) -> int:
        return sum(seen.nbytes for seen in self._images.values())


def _sample(expressions: Sequence[str]) -> SegDataSample:
    return SegDataSample(metainfo=dict(expressions=list(expressions)))


def _results(
    found: Sequence[Answers], images: Sequence[PreparedImage], expressions: Sequence[Sequence[str]]
) -> list[Segmentations]:
    return [
        Segmentations.of(answers, expressions=texts, size=image.size, picture=image.picture)
        for answers, image, texts in zip(found, images, expressions, strict=True)
    ]
