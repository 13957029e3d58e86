"""gRefCOCO: expressions with one target, several, or none."""

from mmseg.registry import DATASETS

from mmseg_mllm.datasets.refcoco import RefCOCODataset


@DATASETS.register_module()
class GRefCOCODataset(RefCOCODataset):
    """gRefCOCO (``grefs(unc).json``): ``ann_ids`` of an expression may hold several ids, or none.

    The target of an expression is the union of its annotations. Some of the published ones cover no pixel
    and count as they are; refs without sentences are skipped. See :class:`RefCOCODataset`.
    """

    may_lack_target = True
    may_cover_nothing = True
