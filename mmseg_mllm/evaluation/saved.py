"""Samples for the metric from a file of predictions and a test set's annotations; no image is read."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch

from mmseg_mllm.datasets import LoadReferringMasks, RefCOCODataset
from mmseg_mllm.errors import DataError
from mmseg_mllm.evaluation.predictions import ExpressionKey, PredictionFile, mask_of, mismatch


def saved_samples(datasets: Sequence[RefCOCODataset], file: PredictionFile) -> Iterator[dict]:
    """What a test would have handed to the metric, image by image in the order of the datasets.

    Memory grows with the datasets' annotations and the file's encoded masks; masks are decoded for one image
    at a time.

    Args:
        datasets: Test sets; their pipelines are not run.
        file: Predictions of exactly their expressions, in any order.

    Returns:
        Samples for :func:`count_image`, with all that :class:`RefCOCODataset` lists besides.

    Raises:
        DataError: an expression has no prediction, a prediction no expression, or a mask can't be read or is
            of another size than its image.
    """
    # All are matched before the first mask is decoded: a wrong file is told at once.
    different = mismatch(
        (key for info in _infos(datasets) for key in _keys(info)),
        (prediction.key for prediction in file.predictions),
        names=("the test set", str(file.path)),
    )
    if different:
        raise DataError(f"{different}; give the config, data_root and --split that the file was made with")
    return _samples(datasets, file)


def _samples(datasets: Sequence[RefCOCODataset], file: PredictionFile) -> Iterator[dict]:
    load_masks = LoadReferringMasks()
    predictions = file.by_key()
    for info in _infos(datasets):
        size = dict(height=info["height"], width=info["width"])
        own = [predictions[key].pop(0) for key in _keys(info)]
        masks = [
            mask_of(prediction.segmentation, **size, place=f"{file.path}: {prediction.key}")
            for prediction in own
        ]
        # A test takes the size from the image, after it has seen that the two agree.
        truth = load_masks.transform(dict(info, ori_shape=(info["height"], info["width"])))
        yield dict(
            info,
            protocol=file.protocol,
            ann_ids=[tuple(expression["ann_ids"]) for expression in info["expressions"]],
            pred_instances=dict(
                masks=torch.from_numpy(np.stack(masks)),
                bboxes=torch.tensor([prediction.bbox for prediction in own], dtype=torch.float32),
                rejected=torch.tensor([prediction.rejected for prediction in own]),
            ),
            gt_instances={
                name: torch.from_numpy(truth[f"gt_{name}"])
                for name in ("masks", "bboxes", "ignored")
                if f"gt_{name}" in truth
            },
        )


def _infos(datasets: Sequence[RefCOCODataset]) -> Iterator[dict]:
    for dataset in datasets:
        for index in range(len(dataset)):
            yield dataset.get_data_info(index)


def _keys(info: dict) -> list[ExpressionKey]:
    return [
        ExpressionKey(
            dataset=info["dataset"],
            split=info["split"],
            image_id=info["img_id"],
            ref_id=expression["ref_id"],
            sent_id=expression["sent_id"],
            expression=expression["text"],
        )
        for expression in info["expressions"]
    ]
