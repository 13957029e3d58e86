from mmseg_mllm.engine.hooks import ProgressHook, ReferringVisualizationHook

__all__ = ["ProgressHook", "ReferringVisualizationHook"]
