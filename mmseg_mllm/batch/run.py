"""The run over all images: read, ask, write."""

from collections.abc import Iterable, Iterator, Sequence

import torch

from mmseg_mllm.apis.predictor import RESPredictor
from mmseg_mllm.apis.segmentation import Segmentations
from mmseg_mllm.apis.sources import ImageSource
from mmseg_mllm.batch.ahead import batches, in_background
from mmseg_mllm.errors import ConfigError, MMSegMLLMError


def segment_all(
    predictor: RESPredictor,
    images: Iterable[tuple[ImageSource, Sequence[str]]],
    *,
    batch_size: int,
) -> Iterator[Segmentations | MMSegMLLMError]:
    """Ask about many images, some at a time, while the next ones are read.

    Args:
        predictor: Holds the model, which is asked in its own protocol.
        images: Each with its expressions.
        batch_size: Images that pass through the model together; the results do not depend on it.

    Yields:
        For each image in order what was found, or why it can't be read.

    Raises:
        ConfigError: an expression is none, or the device has too little memory for such a batch.
    """
    reading = in_background(images, lambda image: predictor.prepare(image[0]), ahead=2 * batch_size)
    for batch in batches(reading, batch_size):
        results: list[Segmentations | MMSegMLLMError | None] = []
        prepared, asked = [], []
        for (_, expressions), future in batch:
            try:
                prepared.append(future.result())
                asked.append(expressions)
                results.append(None)
            except MMSegMLLMError as error:
                results.append(error)
        try:
            answers = iter(predictor.segment_images(prepared, asked))
        except torch.OutOfMemoryError:
            raise ConfigError(
                f"the device has too little memory for {len(prepared)} images at a time; ask for fewer"
            ) from None
        yield from (next(answers) if result is None else result for result in results)
