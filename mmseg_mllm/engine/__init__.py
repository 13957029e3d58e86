from mmseg_mllm.engine.hooks import ClassCountHook, ProgressHook, ReferringVisualizationHook

__all__ = ["ClassCountHook", "ProgressHook", "ReferringVisualizationHook"]
