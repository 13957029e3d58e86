"""The run over all images: read, ask, write."""

from collections.abc import Iterable, Iterator, Sequence

import torch

from mmseg_mllm.apis.predictor import RESPredictor
from mmseg_mllm.apis.segmentation import Segmentations
from mmseg_mllm.apis.sources import ImageSource
from mmseg_mllm.batch.ahead import batches, read_ahead
from mmseg_mllm.errors import ConfigError, MMSegMLLMError


def segment_all(
    predictor: RESPredictor,
    images: Iterable[tuple[ImageSource, Sequence[str]]],
    *,
    batch_size: int,
) -> Iterator[tuple[int, Segmentations | MMSegMLLMError]]:
    """Ask about many images, some at a time, while the next ones are read.

    Args:
        predictor: Holds the model, which is asked in its own protocol.
        images: Each with its expressions.
        batch_size: Images that pass through the model together; the results do not depend on it.

    Yields:
        (Index of the image, what was found, or why it can't be read), in order.

    Raises:
        ConfigError: an expression is none, or the device has too little memory for such a batch.
    """
    read = read_ahead(images, lambda image: predictor.prepare(image[0]), ahead=2 * batch_size)
    for batch in batches(enumerate(read), batch_size):
        good = [(prepared, texts) for _, ((_, texts), prepared) in batch if not _is_error(prepared)]
        try:
            answers = predictor.segment_images(
                [prepared for prepared, _ in good], [texts for _, texts in good]
            )
        except torch.OutOfMemoryError:
            raise ConfigError(
                f"the device has too little memory for {len(good)} images at a time; ask for a smaller batch"
            ) from None
        found = iter(answers)
        for index, (_, prepared) in batch:
            yield index, prepared if _is_error(prepared) else next(found)


def _is_error(prepared: object) -> bool:
    return isinstance(prepared, MMSegMLLMError)
