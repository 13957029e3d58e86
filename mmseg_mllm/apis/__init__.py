from mmseg_mllm.apis.predictor import RESPredictor
from mmseg_mllm.apis.segmentation import Segmentation, Segmentations

__all__ = ["RESPredictor", "Segmentation", "Segmentations"]
