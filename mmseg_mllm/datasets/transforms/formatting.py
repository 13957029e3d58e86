"""The last step: tensors and a data sample."""

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmengine.structures import InstanceData
from mmseg.registry import TRANSFORMS
from mmseg.structures import SegDataSample

META_KEYS = ("img_path", "img_id", "ori_shape", "img_shape", "dataset", "split", "sample_idx", "upright")


@TRANSFORMS.register_module()
class PackReferringInputs(BaseTransform):
    """Pack a sample for the model.

    Gives ``inputs`` (3, H, W) uint8 RGB and ``data_samples``, a ``SegDataSample`` with the meta keys
    ``img_path``, ``img_id``, ``ori_shape``, ``img_shape``, ``dataset``, ``split``, ``sample_idx``,
    ``upright``, ``expressions`` (K str), ``sent_ids``, ``ref_ids``, ``ann_ids`` (K tuples), and where targets
    were loaded ``gt_instances`` with ``masks`` (K, H, W) bool, ``bboxes`` (K, 4) float32, x1, y1, x2, y2, and
    where there are pixels that are not counted ``ignored`` (K, H, W) bool.
    """

    def transform(self, results: dict) -> dict:
        expressions = results["expressions"]
        sample = SegDataSample(metainfo={key: results[key] for key in META_KEYS if key in results})
        sample.set_metainfo(
            dict(
                expressions=[e["text"] for e in expressions],
                sent_ids=[e.get("sent_id") for e in expressions],
                ref_ids=[e.get("ref_id") for e in expressions],
                ann_ids=[tuple(e["ann_ids"]) for e in expressions],
            )
        )
        names = [name for name in ("masks", "bboxes", "ignored") if f"gt_{name}" in results]
        if names:
            arrays = {name: torch.from_numpy(results[f"gt_{name}"]) for name in names}
            sample.gt_instances = InstanceData(**arrays)
        image = np.ascontiguousarray(results["img"].transpose(2, 0, 1))
        return dict(inputs=torch.from_numpy(image), data_samples=sample)
