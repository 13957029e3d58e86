"""Toy data: rendered scenes of coloured shapes, in the layouts of RefCOCO, gRefCOCO and MMSegmentation."""

from .dataset import write_toy_refcoco
from .layout import Scene, SceneObject
from .render import render_scene
from .scene import sample_scene
from .semseg import SEMSEG_CLASSES, SEMSEG_COUNTS, SEMSEG_PALETTE, ToySemsegArguments, write_toy_semseg
from .stamp import ToyArguments, is_finished
from .vocabulary import DEFAULT_COUNTS

__all__ = [
    "DEFAULT_COUNTS",
    "SEMSEG_CLASSES",
    "SEMSEG_COUNTS",
    "SEMSEG_PALETTE",
    "Scene",
    "SceneObject",
    "ToyArguments",
    "ToySemsegArguments",
    "is_finished",
    "render_scene",
    "sample_scene",
    "write_toy_refcoco",
    "write_toy_semseg",
]
