"""Pictures of toy scenes: textured ground, shaded shapes."""

import math

import numpy as np
from PIL import Image

from .layout import Scene, SceneObject
from .shapes import outline_coverage, outline_window, shape_outline
from .vocabulary import COLOURS

_RIM = 1.2  # pixels of darker rim, which keeps overlapping shapes of one colour apart


def render_scene(*, scene: Scene, rng: np.random.Generator) -> np.ndarray:
    """Picture of ``scene``: uint8 RGB (height, width, 3). ``rng`` decides texture and shading only."""
    picture = _ground(rng=rng, height=scene.height, width=scene.width)
    for entry in scene.objects:
        _paint(picture=picture, entry=entry, rng=rng)
    picture += rng.uniform(3, 7) * rng.standard_normal(size=picture.shape, dtype=np.float32)
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8)


def _smooth_noise(*, rng: np.random.Generator, height: int, width: int, cells: int) -> np.ndarray:
    coarse = Image.fromarray(rng.standard_normal(size=(cells, cells), dtype=np.float32))
    return np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC))


def _ground(*, rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    base = (rng.uniform(85, 185) + rng.uniform(-14, 14, size=3)).astype(np.float32)
    light = 16 * _smooth_noise(rng=rng, height=height, width=width, cells=4)
    light += 7 * _smooth_noise(rng=rng, height=height, width=width, cells=14)
    direction, period = rng.uniform(0, math.pi), rng.uniform(5, 14)
    ys, xs = np.ogrid[:height, :width]
    along = xs * math.cos(direction) + ys * math.sin(direction)
    phase = (2 * math.pi * along / period + rng.uniform(0, 2 * math.pi)).astype(np.float32)
    light += rng.uniform(0, 11) * np.sin(phase)
    tints = [8 * _smooth_noise(rng=rng, height=height, width=width, cells=3) for _ in range(3)]
    return base + light[..., None] + np.stack(tints, axis=-1)


def _paint(*, picture: np.ndarray, entry: SceneObject, rng: np.random.Generator) -> None:
    pose = dict(shape=entry.shape, centre=entry.centre, angle=entry.angle)
    outline = shape_outline(radius=entry.radius, **pose)
    inner = shape_outline(radius=entry.radius - _RIM, **pose)
    window = outline_window(outline=outline, height=picture.shape[0], width=picture.shape[1])
    colour = np.asarray(COLOURS[entry.colour], dtype=np.float64) + rng.uniform(-14, 14, size=3)
    direction = rng.uniform(0, 2 * math.pi)
    ys, xs = np.mgrid[window]
    along = (xs - entry.centre[0]) * math.cos(direction) + (ys - entry.centre[1]) * math.sin(direction)
    shade = 1 + rng.uniform(0.04, 0.16) * np.clip(along / entry.radius, -1.5, 1.5)
    shade += 0.05 * _smooth_noise(rng=rng, height=xs.shape[0], width=xs.shape[1], cells=6)
    body = colour * shade[..., None]
    for shape, factor in ((outline, 0.6), (inner, 1.0)):
        cover = outline_coverage(outline=shape, window=window)[..., None]
        picture[window] += cover * (body * factor - picture[window])
