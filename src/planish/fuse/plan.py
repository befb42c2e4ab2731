"""`Plan`: what to do in each cell of the decision grid, and which pieces of which plane make up a box."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from planish.errors import OptionError
from planish.fuse.method import Method
from planish.fuse.methods import PIXEL_METHODS, make_method
from planish.fuse.prior import Prior
from planish.model import Box, Level
from planish.planemap import PlaneMap
from planish.slide.base import Slide

METHODS = ("select", *PIXEL_METHODS)
LATER = ("feather", "hybrid")
"""Methods that are named but not there yet; asking for one says so."""


@dataclass(frozen=True, slots=True)
class FuseOptions:
    """How the flat slide is composed.

    Attributes
    ----------
    method : str
        ``"select"``: each cell from one plane, seams as they fall. ``"soft"``, ``"pick"``, ``"clij2"``,
        ``"selective"``, ``"laplacian"``: every pixel fused, see `planish.fuse_stack`.
    parameters : mapping of str
        Of a method that fuses pixels, by name; ``{"prior": "map"}`` lets `soft` expect the planes of the plane map.
    backend : str
        ``"auto"``, ``"numpy"`` or ``"cupy"``, for methods that fuse pixels.
    """

    method: str = "select"
    parameters: Mapping[str, Any] = field(default_factory=dict)
    backend: str = "auto"

    def __post_init__(self) -> None:
        if self.method in LATER:
            raise OptionError(f"--fuse {self.method} comes with a later version; available now: {', '.join(METHODS)}")
        if self.method not in METHODS:
            raise OptionError(f"unknown fusion method {self.method!r}; available: {', '.join(METHODS)}")
        if self.method == "select" and self.parameters:
            raise OptionError(f"{', '.join(self.parameters)}: --fuse select takes no parameters")
        self.pixel_method(None)

    def pixel_method(self, prior: Prior | None) -> Method | None:
        """Return the method that fuses pixels, None for `select`; `prior` is what ``"map"`` stands for."""
        if self.method == "select":
            return None
        given = self.parameters.get("prior")
        if given not in (None, "map") and not isinstance(given, Prior):
            raise OptionError(f"prior={given!r}: can be 'map', the plane map")
        replaced = {"prior": prior} if given == "map" else {}
        return make_method(self.method, **{**self.parameters, **replaced})


@dataclass(frozen=True, eq=False)
class Plan:
    """The plane to copy each cell from.

    Attributes
    ----------
    plane : ndarray of int16, (rows, columns)
        Plane index of every cell.
    cell_width, cell_height : int
        Size of a cell in level-0 pixels.
    """

    plane: NDArray[np.int16]
    cell_width: int
    cell_height: int

    def uniform(self, level: Level) -> NDArray[np.int16]:
        """Return (rows, columns) of a level's tile grid: the plane that all cells under a tile want, -1 where none."""
        rows = _spans(level.height, level.tile_height, self.cell_height / level.downsample_y, self.plane.shape[0])
        columns = _spans(level.width, level.tile_width, self.cell_width / level.downsample_x, self.plane.shape[1])
        lowest = _reduced(np.minimum, _reduced(np.minimum, self.plane, rows, 0), columns, 1)
        highest = _reduced(np.maximum, _reduced(np.maximum, self.plane, rows, 0), columns, 1)
        return np.where(lowest == highest, lowest, np.int16(-1))

    def pieces(self, level: Level, box: Box) -> Iterator[tuple[int, Box]]:
        """Yield (plane, piece) for each run of cells of one plane that make up a box.

        Parameters
        ----------
        level : Level
            The level that `box` lies on; cell borders are rounded to its pixels.
        box, piece : Box
            In level pixels.
        """
        rows = _edges(box.y, box.height, self.cell_height / level.downsample_y, self.plane.shape[0])
        columns = _edges(box.x, box.width, self.cell_width / level.downsample_x, self.plane.shape[1])
        for row, top, bottom in rows:
            run = None
            for column, left, right in columns:
                plane = int(self.plane[row, column])
                if run and run[0] == plane:
                    run = (plane, run[1], right)
                    continue
                if run:
                    yield run[0], Box(run[1], top, run[2] - run[1], bottom - top)
                run = (plane, left, right)
            if run:
                yield run[0], Box(run[1], top, run[2] - run[1], bottom - top)


def _edges(start: int, length: int, cell: float, count: int) -> list[tuple[int, int, int]]:
    """Return (cell index, from, to) along one axis for the level pixels start … start + length."""
    stop = start + length
    first, last = max(0, int(start / cell) - 1), min(count - 1, int(stop / cell) + 1)
    edges = []
    for index in range(first, last + 1):
        left = max(start, round(index * cell))
        right = stop if index == count - 1 else min(stop, round((index + 1) * cell))
        if right > left:
            edges.append((index, left, right))
    return edges


def _spans(length: int, tile: int, cell: float, count: int) -> list[tuple[int, int]]:
    """Return the first cell and the one after the last under each tile along one axis, in the level's pixels."""
    borders = np.rint(np.arange(1, count) * cell)
    starts = np.arange(0, length, tile)
    stops = np.minimum(starts + tile, length)
    first = np.searchsorted(borders, starts, side="right")
    last = np.searchsorted(borders, stops, side="left")
    return list(zip(first.tolist(), (last + 1).tolist(), strict=True))


def _reduced(reduce: np.ufunc, plane: NDArray[np.int16], spans: list[tuple[int, int]], axis: int) -> NDArray[np.int16]:
    """Reduce the cells of each span to one value."""
    return np.stack([reduce.reduce(plane.take(range(*span), axis), axis) for span in spans], axis)


def make_plan(slide: Slide, focus: PlaneMap, options: FuseOptions) -> Plan:
    """Turn a plane map into a plan for `slide`.

    Raises
    ------
    OptionError
        Where the map was made for a slide of other size or with fewer planes.
    """
    focus.check_fits(slide)
    return Plan(focus.plane, focus.cell_width, focus.cell_height)
