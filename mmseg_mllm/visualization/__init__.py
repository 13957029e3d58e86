from .referring_visualizer import ReferringVisualizer, draw_referring, mask_iou

__all__ = ["ReferringVisualizer", "draw_referring", "mask_iou"]
