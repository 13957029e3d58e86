"""Toy referring data: rendered scenes of coloured shapes in the file layout of RefCOCO and gRefCOCO."""

from .dataset import write_toy_refcoco
from .render import render_scene
from .scene import Scene, SceneObject, sample_scene
from .stamp import ToyArguments, is_finished
from .vocabulary import DEFAULT_COUNTS

__all__ = [
    "DEFAULT_COUNTS",
    "Scene",
    "SceneObject",
    "ToyArguments",
    "is_finished",
    "render_scene",
    "sample_scene",
    "write_toy_refcoco",
]
