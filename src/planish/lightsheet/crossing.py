"""Where the second view becomes sharper than the first: the surface that the cameras' own focus tells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from planish.errors import OptionError
from planish.focus.measures import tenengrad
from planish.lightsheet.axes import check_axis
from planish.lightsheet.loess import Floats, local_fit, robust_weights
from planish.threads import Progress, cores, in_threads

_MOST_CELLS = 32
"""Along each edge of a plane: the surface is smooth, and the fit compares every cell with every other."""
_NEIGHBOURS = 1 / 3
"""The share of the cells that makes up each local fit."""
_ITERATIONS = 5
_RIDGE = np.array([0, 1, 1, 1, 1, 1]) * 1e-3
"""Lets slope and curvature fade, instead of run away, where there is no specimen."""


@dataclass(frozen=True)
class FocusOptions:
    """How the cameras' sharpness is compared.

    Attributes
    ----------
    axis : str
        ``"z"`` for cameras: the surface is (Y, X), in planes. ``"x"`` for channels: (Y, Z), in pixels.
    front : int
        Which view is sharp at the axis's low end: 0 the first, 1 the second.
    cell : int
        Least edge of the squares that are compared, in pixels.
    sigma : float
        Of the Gaussian that takes the noise off first, in pixels.
    depth : float
        Of the Gaussian along z that pools what the planes say, in planes.
    jobs : int
        Threads; each holds a plane of both views.
    """

    axis: str = "z"
    front: int = 0
    cell: int = 32
    sigma: float = 1.0
    depth: float = 2.0
    jobs: int = 0

    def __post_init__(self) -> None:
        check_axis(self.axis, self.front)
        if self.cell < 8 or self.sigma <= 0 or self.depth < 0 or self.jobs < 0:
            raise OptionError("focus takes cells of 8 px or more, a sigma above 0, depth and jobs of 0 or more")


def focus_surface(
    first: Any, second: Any, options: FocusOptions | None = None, progress: Progress | None = None
) -> NDArray[np.float32]:
    """Return the surface where the second view becomes sharper than the first, smoothed robustly.

    In each cell and plane both views' Tenengrad is taken. A cell's crossing is the place that leaves most of the
    difference on the right side of it; a robust local polynomial through the crossings, weighted by how clearly they
    show, is the surface. No published method.

    Parameters
    ----------
    first, second : array-like, (Z, Y, X)
        Registered views, of the same brightness; sliced by planes.
    options : FocusOptions
        How.
    progress : callable
        Called with (stage, done, total) in planes; an exception that it raises cancels.

    Returns
    -------
    ndarray of float32
        (Y, X) in planes, or (Y, Z) in pixels along x.

    Raises
    ------
    OptionError
        Where the views differ in shape.
    """
    options = options or FocusOptions()
    shape, other = tuple(first.shape), tuple(second.shape)
    if shape != other or len(shape) != 3:
        raise OptionError(f"views of {shape} and {other} cannot be compared; crop them alike")
    planes, height, width = (int(size) for size in shape)
    grid = _Grid(_edges(height, options.cell), _edges(width, options.cell))
    sharpness = _measure(first, second, grid, options, progress)
    evidence = _evidence(sharpness, options)
    if options.axis == "z":
        place, clear = _crossings(evidence)
        return _fitted(place, clear, (grid.rows, grid.columns), (height, width), (0, planes - 1))
    place, clear = _crossings(evidence.transpose(2, 1, 0))
    middles = _middles(grid.columns)
    place = np.interp(place, np.arange(len(middles)), middles)
    edges = np.arange(planes + 1)
    return _fitted(place, clear, (grid.rows, edges), (height, planes), (0, width - 1))


@dataclass(frozen=True, eq=False)
class _Grid:
    """Edges of the cells, in pixels."""

    rows: NDArray[np.intp]
    columns: NDArray[np.intp]

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.rows) - 1, len(self.columns) - 1


def _edges(size: int, cell: int) -> NDArray[np.intp]:
    count = min(max(size // cell, 1), _MOST_CELLS)
    return np.rint(np.linspace(0, size, count + 1)).astype(np.intp)


def _middles(edges: NDArray[np.intp]) -> Floats:
    return (edges[:-1] + edges[1:] - 1) / 2


def _measure(first: Any, second: Any, grid: _Grid, options: FocusOptions, progress: Progress | None) -> Floats:
    """Return the Tenengrad of both views: (view, Z, rows, columns)."""
    planes = first.shape[0]
    sharpness = np.empty((2, planes, *grid.shape))

    def measure(plane: int) -> None:
        for view, volume in enumerate((first, second)):
            # One pixel that stays hot would outshine a cell's whole structure.
            image = cv2.medianBlur(np.asarray(volume[plane], np.float32), 3)
            sharpness[view, plane] = _tenengrads(cv2.GaussianBlur(image, (0, 0), options.sigma), grid)

    with in_threads(measure, ((plane,) for plane in range(planes)), options.jobs or cores()) as results:
        for done, _ in enumerate(results, 1):
            if progress:
                progress("focus", done, planes)
    return sharpness


def _tenengrads(image: NDArray[Any], grid: _Grid) -> Floats:
    found = np.empty(grid.shape)
    for row, column in np.ndindex(grid.shape):
        y, x = grid.rows[row : row + 2], grid.columns[column : column + 2]
        found[row, column] = tenengrad(image[y[0] : y[1], x[0] : x[1]])
    return found


def _evidence(sharpness: Floats, options: FocusOptions) -> Floats:
    """Return how much speaks for the view in front: (Z, rows, columns); equal structure counts equally in both."""
    # One floor, of the noise: two would move the crossing where the views see differently much of the specimen.
    floor = np.percentile(sharpness, 5, axis=(1, 2, 3)).min()
    front, back = np.clip(sharpness - floor, 0, None)[:: -1 if options.front else 1]
    total = front + back
    # The square root keeps a few bright spots from outvoting all else.
    difference = np.divide(front - back, np.sqrt(total), out=np.zeros_like(total), where=total > 0)
    return np.asarray(ndimage.gaussian_filter1d(difference, options.depth, axis=0) if options.depth else difference)


def _crossings(evidence: Floats) -> tuple[Floats, Floats]:
    """Return where along the first axis the sum before, less the sum behind, is largest; and how clearly."""
    length = len(evidence)
    gathered = np.concatenate([np.zeros((1, *evidence.shape[1:])), np.cumsum(evidence, axis=0)])
    split = gathered.argmax(axis=0)
    before = np.take_along_axis(evidence, np.clip(split - 1, 0, None)[None], axis=0)[0]
    behind = np.take_along_axis(evidence, np.clip(split, None, length - 1)[None], axis=0)[0]
    slope = before - behind
    part = np.divide(before, slope, out=np.full_like(slope, 0.5), where=slope > 0)
    place = np.clip(split - 1 + np.clip(part, 0, 1), 0, length - 1)
    best = np.take_along_axis(gathered, split[None], axis=0)[0]
    # Not a crossing where one view is the better one throughout.
    clear = np.minimum(best, best - gathered[-1])
    return place, np.clip(clear, 0, None)


def _fitted(
    place: Floats,
    clear: Floats,
    edges: tuple[NDArray[np.intp], NDArray[np.intp]],
    size: tuple[int, int],
    limits: tuple[float, float],
) -> NDArray[np.float32]:
    """Return the robust local polynomial through the cells' crossings, at every pixel."""
    if not clear.any():
        return np.full(size, sum(limits) / 2, np.float32)
    middles = [_middles(edge) for edge in edges]
    cells = np.stack(np.meshgrid(*middles, indexing="ij"), axis=-1).reshape(-1, 2)
    smooth = _robust_surface(cells, place.ravel(), clear.ravel()).reshape(place.shape)
    return np.clip(_interpolated(smooth, middles, size), *limits).astype(np.float32)


def _robust_surface(cells: Floats, place: Floats, clear: Floats) -> Floats:
    offset = cells - cells[:, None]
    distance = np.hypot(offset[..., 0], offset[..., 1])
    count = min(max(round(len(cells) * _NEIGHBOURS), 12), len(cells)) - 1
    reach = np.sort(distance, axis=1)[:, count][:, None] * 1.01 + 1e-9
    tricube = np.clip(1 - (distance / reach) ** 3, 0, None) ** 3 * (clear / clear.max())
    y, x = np.moveaxis(offset / reach[..., None], -1, 0)
    design = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=-1)
    values = np.broadcast_to(place, distance.shape)
    smooth = local_fit(design, tricube, values, _RIDGE)
    for _ in range(_ITERATIONS):
        weights = robust_weights(place - smooth, 1.0)
        smooth = local_fit(design, tricube * weights, values, _RIDGE)
    return smooth


def _interpolated(values: Floats, middles: list[Floats], size: tuple[int, int]) -> Floats:
    """Return values given at the cells' middles at every pixel; the outer half cells go on with the slope."""
    for axis in (0, 1):
        values = np.moveaxis(_along(np.moveaxis(values, axis, 0), middles[axis], size[axis]), 0, axis)
    return values


def _along(values: Floats, middles: Floats, size: int) -> Floats:
    if len(middles) == 1:
        return np.repeat(values, size, axis=0)
    at = np.arange(size)
    left = np.clip(np.searchsorted(middles, at) - 1, 0, len(middles) - 2)
    part = (at - middles[left]) / (middles[left + 1] - middles[left])
    return values[left] + (values[left + 1] - values[left]) * part[:, None]
