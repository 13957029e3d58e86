from mmseg_mllm.evaluation.class_iou import ClassIoUMetric
from mmseg_mllm.evaluation.dump_masks import DumpMasks
from mmseg_mllm.evaluation.res_metric import RESMetric

__all__ = ["ClassIoUMetric", "DumpMasks", "RESMetric"]
