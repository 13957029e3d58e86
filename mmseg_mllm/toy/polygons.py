"""Masks to polygons that rasterise back to exactly the same mask."""

import numpy as np


def mask_to_polygons(*, mask: np.ndarray) -> list[list[int]]:
    """COCO polygons of a mask.

    The polygons run along pixel edges, so pycocotools gives the mask back bit for bit. COCO polygons
    cannot carry holes: a mask with a hole is cut in two through it.

    Args:
        mask: bool (height, width).

    Returns:
        One flat list x0, y0, x1, y1, ... in pixels per polygon; empty for an empty mask.
    """
    if not mask.any():
        return []
    loops = _trace(mask=mask)
    hole = next((loop for loop in loops if _signed_area(loop=loop) < 0), None)
    if hole is None:
        return [[value for point in loop for value in point] for loop in loops]
    columns = [x for x, _ in hole]
    cut = (min(columns) + max(columns) + 1) // 2
    left, right = mask.copy(), mask.copy()
    left[:, cut:] = False
    right[:, :cut] = False
    return mask_to_polygons(mask=left) + mask_to_polygons(mask=right)


def _trace(*, mask: np.ndarray) -> list[list[tuple[int, int]]]:
    """Corner points of every border loop: clockwise around parts, counter-clockwise around holes."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    top, left = int(rows[0]), int(columns[0])
    padded = np.pad(mask[top : rows[-1] + 1, left : columns[-1] + 1], 1)
    inside = padded[1:-1, 1:-1]
    sides = (  # free side, start and end corner of its edge with the pixel on the right hand
        (padded[:-2, 1:-1], (0, 0), (1, 0)),
        (padded[1:-1, 2:], (1, 0), (1, 1)),
        (padded[2:, 1:-1], (1, 1), (0, 1)),
        (padded[1:-1, :-2], (0, 1), (0, 0)),
    )
    edges: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for neighbour, start, end in sides:
        step = (end[0] - start[0], end[1] - start[1])
        ys, xs = np.nonzero(inside & ~neighbour)
        for x, y in zip(xs.tolist(), ys.tolist(), strict=True):
            edges.setdefault((left + x + start[0], top + y + start[1]), []).append(step)
    loops = []
    while edges:
        first = next(iter(edges))
        loops.append(_follow(edges=edges, first=first))
    return loops


def _follow(*, edges: dict, first: tuple[int, int]) -> list[tuple[int, int]]:
    """Takes one loop out of ``edges`` and returns the points where it turns."""
    point, heading, corners = first, None, []
    while point in edges:
        steps = edges[point]
        # Two edges leave a point where two pixels touch by a corner: turning right stays on the same
        # pixel and so keeps the two parts apart.
        right = None if heading is None else (-heading[1], heading[0])
        step = steps.pop(steps.index(right) if right in steps else 0)
        if not steps:
            del edges[point]
        if step != heading:
            corners.append(point)
        point, heading = (point[0] + step[0], point[1] + step[1]), step
        if point == first:
            break
    return corners


def _signed_area(*, loop: list[tuple[int, int]]) -> int:
    """Twice the area, positive for loops that run clockwise on screen."""
    ahead = loop[1:] + loop[:1]
    return sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in zip(loop, ahead, strict=True))
