"""`Plan`: which pieces of which plane make up a box of the flat slide, and which cells have to be composed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from planish.model import Box, Level
from planish.planemap import PlaneMap
from planish.recipe import Action, Recipe

COMPOSED_DOWNSAMPLE = 6.0
"""Levels coarser than this are put together of whole cells: blur and seams are below their pixels."""


class Piece(NamedTuple):
    """A part of a box: of cells of one plane, which begin at (row, column), or of one cell that has to be composed."""

    plane: int
    composed: bool
    row: int
    column: int
    box: Box


@dataclass(frozen=True, eq=False)
class Plan:
    """The plane of each cell, and what is done with it.

    Attributes
    ----------
    plane : ndarray of int16, (rows, columns)
        Plane index of every cell.
    cell_width, cell_height : int
        Size of a cell in level-0 pixels.
    recipe : Recipe or None
        Which cells are composed; None where all are copied.
    """

    plane: NDArray[np.int16]
    cell_width: int
    cell_height: int
    recipe: Recipe | None = None

    @classmethod
    def of(cls, focus: PlaneMap, recipe: Recipe | None) -> Plan:
        """Return the plan of a plane map."""
        return cls(focus.plane, focus.cell_width, focus.cell_height, recipe)

    def composed(self, level: Level) -> NDArray[np.bool_]:
        """Return (rows, columns): where cells have to be composed on a level."""
        if self.recipe is None or level.downsample_x > COMPOSED_DOWNSAMPLE:
            return np.zeros(self.plane.shape, bool)
        return np.asarray(self.recipe.action != Action.COPY)

    def uniform(self, level: Level) -> NDArray[np.int16]:
        """Return (rows, columns) of a level's tile grid: the plane that all cells under a tile want, -1 where none."""
        rows = _spans(level.height, level.tile_height, self.cell_height / level.downsample_y, self.plane.shape[0])
        columns = _spans(level.width, level.tile_width, self.cell_width / level.downsample_x, self.plane.shape[1])
        wanted = np.where(self.composed(level), np.int16(-1), self.plane)
        lowest = _reduced(np.minimum, _reduced(np.minimum, wanted, rows, 0), columns, 1)
        highest = _reduced(np.maximum, _reduced(np.maximum, wanted, rows, 0), columns, 1)
        return np.where(lowest == highest, lowest, np.int16(-1))

    def cell_box(self, level: Level, column: int, row: int) -> Box:
        """Return a cell in the pixels of a level."""
        left, right = _borders(column, self.cell_width / level.downsample_x, self.plane.shape[1], level.width)
        top, bottom = _borders(row, self.cell_height / level.downsample_y, self.plane.shape[0], level.height)
        return Box(left, top, right - left, bottom - top)

    def pieces(self, level: Level, box: Box) -> Iterator[Piece]:
        """Yield the pieces of a box: runs of cells of one plane, and single cells that have to be composed.

        Parameters
        ----------
        level : Level
            The level that `box` lies on; cell borders are rounded to its pixels.
        box : Box
            In level pixels, as those of the pieces are.
        """
        rows = _edges(box.y, box.height, self.cell_height / level.downsample_y, self.plane.shape[0])
        columns = _edges(box.x, box.width, self.cell_width / level.downsample_x, self.plane.shape[1])
        composed = self.composed(level)
        for row, top, bottom in rows:
            run: Piece | None = None
            for column, left, right in columns:
                plane, alone = int(self.plane[row, column]), bool(composed[row, column])
                if run and not alone and not run.composed and run.plane == plane:
                    run = run._replace(box=run.box._replace(width=right - run.box.x))
                    continue
                if run:
                    yield run
                run = Piece(plane, alone, row, column, Box(left, top, right - left, bottom - top))
            if run:
                yield run


def _borders(index: int, cell: float, count: int, length: int) -> tuple[int, int]:
    return round(index * cell), length if index == count - 1 else min(length, round((index + 1) * cell))


def _edges(start: int, length: int, cell: float, count: int) -> list[tuple[int, int, int]]:
    """Return (cell index, from, to) along one axis for the level pixels start … start + length."""
    stop = start + length
    first, last = max(0, int(start / cell) - 1), min(count - 1, int(stop / cell) + 1)
    edges = []
    for index in range(first, last + 1):
        left, right = _borders(index, cell, count, stop)
        left = max(start, left)
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
