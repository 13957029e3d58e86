"""Masks to polygons."""

import cv2
import numpy as np

MIN_POINTS = 3


def mask_polygons(mask: np.ndarray, *, tolerance: float = 1.0) -> list[list[float]]:
    """Outlines of a mask's connected parts, in pixels with (0, 0) at the image's upper left corner.

    A hole is joined to the outline around it by a cut without width, so that each part is one polygon, as
    COCO wants it, and the hole stays empty when it is filled.

    Args:
        mask: (H, W) bool.
        tolerance: How far in pixels an outline may be from the mask's; larger is fewer points. With 0 the
            polygons cover exactly the mask's pixels.

    Returns:
        One flat list [x, y, x, y, ...] for each part, the largest first; none for an empty mask.
    """
    if not mask.any():
        return []
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    top, left = int(rows[0]), int(columns[0])
    part = mask[top : rows[-1] + 1, left : columns[-1] + 1]
    # OpenCV's outlines go through the centres of the outer pixels. Of a mask of twice the size, these lie
    # a quarter of a pixel inside of the true border.
    double = part.astype(np.uint8).repeat(2, axis=0).repeat(2, axis=1)
    contours, family = cv2.findContours(double, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    outlines: dict[int, np.ndarray] = {}
    holes: dict[int, list[np.ndarray]] = {}
    for index, (contour, (_, _, _, parent)) in enumerate(zip(contours, family[0], strict=True)):
        points = cv2.approxPolyDP(contour, 2 * tolerance, closed=True)[:, 0] if tolerance else contour[:, 0]
        if parent < 0:
            outlines[index] = points if len(points) >= MIN_POINTS else contour[:, 0]
        elif len(points) >= MIN_POINTS:
            holes.setdefault(parent, []).append(points)
    polygons = [_joined(points, holes.get(index, [])) for index, points in outlines.items()]
    polygons.sort(key=lambda points: -cv2.contourArea(points))
    return [((points + 0.5) / 2 + (left, top)).ravel().tolist() for points in polygons]


def _joined(outline: np.ndarray, holes: list[np.ndarray]) -> np.ndarray:
    """An outline with its holes cut open: to each from the nearest point, around it, and back."""
    for hole in holes:
        start = np.square(outline - hole[0], dtype=np.int64).sum(axis=1).argmin()
        outline = np.concatenate([outline[: start + 1], hole, hole[:1], outline[start:]])
    return outline
