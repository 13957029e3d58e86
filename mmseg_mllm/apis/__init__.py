from mmseg_mllm.apis.predictor import RESPredictor, Segmentation

__all__ = ["RESPredictor", "Segmentation"]
