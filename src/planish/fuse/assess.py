"""`assess`: how much each cell loses by having one plane only, and how much its borders show."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from planish.focus.grid import Blocks, CellGrid
from planish.focus.measures import luma
from planish.planemap import PlaneMap
from planish.recipe import NEIGHBOURS
from planish.slide.base import Slide
from planish.threads import Progress, in_threads

PARTS = 4
"""Parts of a cell along each side."""
DOWNSAMPLE = 4.0
"""Level-0 pixels per pixel that is scored: there, scores agree best with the plane of least error."""
NOISE_BLOCKS = 16
"""Blocks of cells from which the noise of the scores is estimated."""
CONTRAST = 0.2
"""Grey levels of 255 by which a part's scores must change with focus to say which plane it wants."""
NOISE_WIDTH = 3.0
"""Standard deviations of the noise that are taken off."""
FLOOR = 0.1
"""Grey levels of 255 that a part may lack: what JPEG leaves of glass differs by as much between planes."""
_AT_SIDE = (np.s_[:, 0], np.s_[:, -1], np.s_[0, :], np.s_[-1, :])
"""The parts of a cell at each side."""


@dataclass(frozen=True, eq=False)
class Assessment:
    """What single planes would cost, cell by cell; 0 where there is no specimen.

    Attributes
    ----------
    loss : ndarray of float32, (rows, columns)
        Mean over the cell's parts of the sharpness that its plane lacks there, in grey levels of 255, noise taken off.
    lowest, highest : ndarray of int16, (rows, columns)
        First and last of the planes that any of its parts wants.
    shows : ndarray of float32, (4, rows, columns)
        At each of `planish.recipe.SIDES`, the difference of sharpness between its plane and its neighbour's.
    noise : float
        Standard deviation of a score between planes that show nothing.
    decoded : int
        Tile-planes decoded for it.
    """

    loss: NDArray[np.float32]
    lowest: NDArray[np.int16]
    highest: NDArray[np.int16]
    shows: NDArray[np.float32]
    noise: float
    decoded: int


def assess(slide: Slide, focus: PlaneMap, jobs: int = 1, progress: Progress | None = None) -> Assessment:
    """Score the parts of every specimen cell on all planes.

    Parameters
    ----------
    slide : Slide
        The z-stack.
    focus : PlaneMap
        The planes chosen.
    jobs : int
        Threads.
    progress : callable
        Called with (stage, done, total).

    Memory: per thread the planes of one storage tile of the scored level, and 24 bytes a cell.
    """
    before = slide.decoded.total()
    scores = _PartScores.of(slide, focus)
    wanted = np.unique(scores.block_of(*np.nonzero(focus.specimen)))
    some = wanted[:: max(1, len(wanted) // NOISE_BLOCKS)][:NOISE_BLOCKS]
    noise = _noise([part for block in some for _, _, part in scores.block(int(block))])
    found = _Found(focus, noise)
    with in_threads(partial(_assess_block, scores, found), ((int(block),) for block in wanted), jobs) as results:
        for done, _ in enumerate(results, 1):
            if progress:
                progress("looking inside cells", done, len(wanted))
    return Assessment(found.loss, found.lowest, found.highest, found.shows, noise, slide.decoded.total() - before)


@dataclass(frozen=True)
class _PartScores:
    """Scores of the parts of cells, one storage tile of a level at a time."""

    slide: Slide
    specimen: NDArray[np.bool_]
    level: int
    blocks: Blocks
    shrink: int

    @classmethod
    def of(cls, slide: Slide, focus: PlaneMap) -> _PartScores:
        """Take the coarsest level that is fine enough."""
        level = max(i for i, size in enumerate(slide.levels) if size.downsample_x <= DOWNSAMPLE * 1.05)
        grid = CellGrid(focus.cell_width, focus.cell_height, focus.columns, focus.rows)
        shrink = max(1, round(DOWNSAMPLE / slide.levels[level].downsample_x))
        return cls(slide, focus.specimen, level, Blocks.of(grid, slide.levels[level]), shrink)

    def block_of(self, rows: NDArray[np.intp], columns: NDArray[np.intp]) -> NDArray[np.intp]:
        """Return the numbers of the blocks that hold cells."""
        return rows // self.blocks.down * self.blocks.columns + columns // self.blocks.across

    def block(self, number: int) -> Iterator[tuple[int, int, NDArray[np.float32]]]:
        """Yield row, column and scores, (planes, PARTS, PARTS), of the specimen cells of a block."""
        block_row, block_column = divmod(number, self.blocks.columns)
        box = self.blocks.box(block_column, block_row)
        unit = np.float32(255 / np.iinfo(self.slide.dtype).max)
        details = []
        for plane in range(len(self.slide.planes)):
            grey = _shrunk(luma(self.slide.read_region(self.level, plane, *box)), self.shrink)
            details.append(cv2.absdiff(cv2.blur(grey, (5, 5)), grey))
        detail = np.stack(details) * unit
        rows = slice(block_row * self.blocks.down, (block_row + 1) * self.blocks.down)
        columns = slice(block_column * self.blocks.across, (block_column + 1) * self.blocks.across)
        origin = np.array([rows.start, columns.start])
        for row, column in (np.argwhere(self.specimen[rows, columns]) + origin).tolist():
            x, y, width, height = self.blocks.cell_box(column, row)
            down = _borders(y - box.y, height, self.shrink, detail.shape[1])
            across = _borders(x - box.x, width, self.shrink, detail.shape[2])
            yield row, column, _means(detail, down, across)


def _borders(start: int, length: int, shrink: int, limit: int) -> NDArray[np.intp]:
    """Return the first pixel of each part along one axis, and the end; each part has a pixel at least."""
    borders = np.linspace(start / shrink, (start + length) / shrink, PARTS + 1).round().astype(np.intp)
    return np.clip(borders, 0, limit)


def _means(detail: NDArray[Any], down: NDArray[np.intp], across: NDArray[np.intp]) -> NDArray[np.float32]:
    """Return the mean detail of each part, (planes, PARTS, PARTS); 0 where a cell at the edge has fewer pixels."""
    means = np.zeros((len(detail), PARTS, PARTS), np.float32)
    heights, widths = np.diff(down), np.diff(across)
    if heights.min() > 0 and widths.min() > 0:
        cell = detail[:, down[0] : down[-1], across[0] : across[-1]]
        sums = np.add.reduceat(np.add.reduceat(cell, down[:-1] - down[0], axis=1), across[:-1] - across[0], axis=2)
        means[:] = sums / (heights[:, None] * widths)
    return means


def _shrunk(grey: NDArray[np.float32], factor: int) -> NDArray[np.float32]:
    if factor == 1:
        return grey
    size = max(1, grey.shape[1] // factor), max(1, grey.shape[0] // factor)
    return np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_AREA), np.float32)


def _noise(parts: list[NDArray[np.float32]]) -> float:
    """Return the standard deviation between planes in the quietest quarter of the parts."""
    if not parts:
        return 0.0
    scores = np.concatenate([part.reshape(len(part), -1) for part in parts], axis=1)
    contrast = scores.max(axis=0) - scores.min(axis=0)
    quiet = scores[:, contrast <= np.percentile(contrast, 25)]
    return float(1.4826 * np.median(np.abs(quiet - np.median(quiet, axis=0))))


class _Found:
    """An assessment under way; cells are written by one thread each."""

    def __init__(self, focus: PlaneMap, noise: float) -> None:
        self.plane, self.noise = focus.plane, noise
        self.loss = np.zeros(focus.plane.shape, np.float32)
        self.lowest, self.highest = focus.plane.copy(), focus.plane.copy()
        self.shows = np.zeros((4, *focus.plane.shape), np.float32)

    def put(self, row: int, column: int, scores: NDArray[np.float32]) -> None:
        """Judge a cell by the scores of its parts, (planes, PARTS, PARTS)."""
        own = int(self.plane[row, column])
        top = scores.max(axis=0)
        lacking = np.maximum(top - scores[own] - NOISE_WIDTH * self.noise, 0)
        self.loss[row, column] = np.maximum(lacking - FLOOR, 0).mean()
        telling = top - scores.min(axis=0) > CONTRAST + NOISE_WIDTH * self.noise
        if telling.any():
            best = scores.argmax(axis=0)[telling]
            self.lowest[row, column] = min(own, best.min())
            self.highest[row, column] = max(own, best.max())
        for side, (down, across) in enumerate(NEIGHBOURS):
            if 0 <= row + down < self.plane.shape[0] and 0 <= column + across < self.plane.shape[1]:
                other = int(self.plane[row + down, column + across])
                if other != own:
                    change = np.abs(scores[own] - scores[other])[_AT_SIDE[side]]
                    self.shows[side, row, column] = np.maximum(change - NOISE_WIDTH * self.noise, 0).mean()


def _assess_block(scores: _PartScores, found: _Found, block: int) -> None:
    for row, column, part in scores.block(block):
        found.put(row, column, part)
