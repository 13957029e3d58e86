from mmseg_mllm.engine.hooks.progress_hook import ProgressHook
from mmseg_mllm.engine.hooks.referring_visualization_hook import ReferringVisualizationHook

__all__ = ["ProgressHook", "ReferringVisualizationHook"]
