from mmseg_mllm.lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    ReferringVisualizer="referring_visualizer",
    draw_referring="referring_visualizer",
    mask_iou="referring_visualizer",
)
