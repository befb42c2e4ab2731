"""`Prior`: the plane that is expected at each pixel, for where the pixels themselves say nothing."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from planish.errors import OptionError
from planish.fuse.backend import Array, Backend, gaussian_radius
from planish.fuse.blur import DECIMATIONS, Blur
from planish.fuse.checks import positive, sigma_of_blur, within
from planish.model import Box

MOST_WEIGHT = 1e6


@dataclass(frozen=True, eq=False)
class Prior:
    """A map of expected planes, and how much it weighs against noise.

    Attributes
    ----------
    plane : ndarray of integers, (rows, columns)
        Plane of each cell.
    cell_width, cell_height : float
        Size of a cell in pixels; 1 where the map has the image's size.
    weight : float
        κ, 0 … 10⁶: how many times the noise of the measure the expected plane is given in advance.
    sigma : float
        Standard deviation of the blur of the map's borders, 0 … 1000 px.
    noise : float or None
        N: the measure of what holds no detail; None to estimate it from the planes.
    """

    plane: NDArray[np.integer[Any]] = field(repr=False)
    cell_width: float = 1.0
    cell_height: float = 1.0
    weight: float = 4.0
    sigma: float = 8.0
    noise: float | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.plane, np.ndarray):
            raise OptionError(
                f"prior: of {type(self.plane).__name__}; needed is an array of plane numbers, (rows, columns)"
            )
        if self.plane.ndim != 2 or self.plane.dtype.kind not in "iu" or not self.plane.size:
            raise OptionError(
                f"prior: {self.plane.dtype} values of shape {self.plane.shape}; needed are plane numbers, "
                "(rows, columns)"
            )
        positive("prior cell_width", self.cell_width)
        positive("prior cell_height", self.cell_height)
        within("prior weight", self.weight, 0, MOST_WEIGHT)
        sigma_of_blur("prior sigma", self.sigma, zero=True)
        if self.noise is not None:
            positive("prior noise", self.noise, zero=True)

    @property
    def margin(self) -> int:
        """How far a border is blurred at most, in pixels."""
        return gaussian_radius(self.sigma) + 2 * max(DECIMATIONS)

    def check(self, planes: int, width: int, height: int) -> None:
        """Raise OptionError where the map names planes that are not there, or is not as large as the image."""
        if self.plane.min() < 0 or self.plane.max() >= planes:
            raise OptionError(
                f"prior: names planes {self.plane.min()} to {self.plane.max()}; there are planes 0 to {planes - 1}"
            )
        rows, columns = self.plane.shape
        if not (_covers(columns, self.cell_width, width) and _covers(rows, self.cell_height, height)):
            raise OptionError(
                f"prior: {columns} × {rows} cells of {self.cell_width:g} × {self.cell_height:g} px do not cover "
                f"an image of {width} × {height} px"
            )

    def at(self, downsample_x: float, downsample_y: float) -> Prior:
        """Return the prior of a smaller level of the same image."""
        return replace(self, cell_width=self.cell_width / downsample_x, cell_height=self.cell_height / downsample_y)

    def read(self, box: Box) -> NDArray[np.int16]:
        """Return the expected plane of each pixel of a box, (height, width) int16."""
        rows, columns = self.plane.shape
        row = np.minimum((np.arange(box.y, box.y + box.height) / self.cell_height).astype(np.intp), rows - 1)
        column = np.minimum((np.arange(box.x, box.x + box.width) / self.cell_width).astype(np.intp), columns - 1)
        part = self.plane[row[0] : row[-1] + 1, column[0] : column[-1] + 1].astype(np.int16)
        return np.asarray(part[row[:, None] - row[0], column - column[0]])

    def expectation(self, expected: Array, plane: int, backend: Backend, decimation: int = 1) -> Array | None:
        """Return κ·N·h of a plane, where h is the blurred map of where it is expected; None where it is 0 all over.

        `decimation` is that of the blur, see `planish.fuse.blur.Blur`.
        """
        here = expected == plane
        if not bool(here.any()):
            return None
        # Two blocks' own border stands for a window that expects one plane all over: the same bits, in no time.
        everywhere, corner = bool(here.all()), 2 * decimation
        seen = here[:corner, :corner] if everywhere else here
        share = Blur(self.sigma, decimation).of(seen.astype(np.float32), backend)
        if everywhere:
            share = share[:1, :1] * here
        share *= np.float32(self.weight * (self.noise or 0.0))
        return share


def _covers(cells: int, size: float, length: int) -> bool:
    """Whether cells of a size, the last one cut off, make up a length; levels round theirs by a pixel or two."""
    slack = 0 if size == 1 else 2
    return -slack <= cells * size - length < size + slack
