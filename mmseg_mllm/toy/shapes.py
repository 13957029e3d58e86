"""Outlines of the toy shapes and their rasterisation."""

import math

import numpy as np
from PIL import Image, ImageDraw

_SUPERSAMPLING = 4


def _ring(*, points: int, radius: float) -> np.ndarray:
    angles = -math.pi / 2 + 2 * math.pi * np.arange(points) / points
    return radius * np.stack([np.cos(angles), np.sin(angles)], axis=1)


def _star() -> np.ndarray:
    outline = _ring(points=10, radius=1.25)
    outline[1::2] *= 0.42
    return outline


def _cross() -> np.ndarray:
    arm, half = 1.08, 0.34
    quarter = np.array([[-half, -arm], [half, -arm], [half, -half]])
    turn = np.array([[0.0, 1.0], [-1.0, 0.0]])  # a row vector times this is turned by a quarter
    return np.concatenate([quarter @ np.linalg.matrix_power(turn, k) for k in range(4)])


# Radii are chosen so that shapes of the same size word look about equally big.
_UNIT_OUTLINES = {
    "circle": _ring(points=48, radius=1.0),
    "square": np.array([[-0.88, -0.88], [0.88, -0.88], [0.88, 0.88], [-0.88, 0.88]]),
    "triangle": _ring(points=3, radius=1.2),
    "star": _star(),
    "cross": _cross(),
    "diamond": np.array([[0.0, -1.25], [0.8, 0.0], [0.0, 1.25], [-0.8, 0.0]]),
}


def shape_outline(*, shape: str, centre: tuple[float, float], radius: float, angle: float) -> np.ndarray:
    """Closed outline of a shape.

    Args:
        shape: a name of ``vocabulary.SHAPES``.
        centre: (x, y) in pixels; the top left corner of the image is (0, 0).
        radius: nominal radius in pixels.
        angle: turn in radians.

    Returns:
        float64 array (points, 2) of (x, y) in pixels.
    """
    cos, sin = math.cos(angle), math.sin(angle)
    turn = np.array([[cos, sin], [-sin, cos]])
    return _UNIT_OUTLINES[shape] @ turn * radius + np.asarray(centre)


def outline_window(*, outline: np.ndarray, height: int, width: int) -> tuple[slice, slice]:
    """Rows and columns of an image (height, width) that hold ``outline`` with a pixel to spare."""
    low = np.floor(outline.min(axis=0)).astype(int) - 1
    high = np.ceil(outline.max(axis=0)).astype(int) + 1
    return slice(max(low[1], 0), min(high[1], height)), slice(max(low[0], 0), min(high[0], width))


def outline_coverage(*, outline: np.ndarray, window: tuple[slice, slice]) -> np.ndarray:
    """Share of each pixel of ``window`` that lies inside ``outline``: float32 (rows, columns) in [0, 1]."""
    rows, columns = window
    size = (columns.stop - columns.start, rows.stop - rows.start)
    canvas = Image.new("L", (size[0] * _SUPERSAMPLING, size[1] * _SUPERSAMPLING))
    # Pillow addresses pixel centres, outlines address pixel corners.
    corners = (outline - (columns.start, rows.start)) * _SUPERSAMPLING - 0.5
    ImageDraw.Draw(canvas).polygon([tuple(point) for point in corners.tolist()], fill=255)
    return np.asarray(canvas.reduce(_SUPERSAMPLING), dtype=np.float32) / 255.0
