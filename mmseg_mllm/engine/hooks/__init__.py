from mmseg_mllm.engine.hooks.class_count_hook import ClassCountHook
from mmseg_mllm.engine.hooks.progress_hook import ProgressHook
from mmseg_mllm.engine.hooks.referring_visualization_hook import ReferringVisualizationHook

__all__ = ["ClassCountHook", "ProgressHook", "ReferringVisualizationHook"]
