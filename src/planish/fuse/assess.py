"""`assess`: how much each cell loses by having one plane only, and how much its borders show."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from planish.focus.grid import Blocks, CellGrid
from planish.focus.measures import luma
from planish.fuse.host import HostBackend
from planish.fuse.method import Window
from planish.fuse.planes import ArrayPlanes
from planish.fuse.soft import Soft
from planish.model import Box
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
QUIET = 1.5
"""Times its least score that a part may reach on any plane to count as quiet: in tissue without glass none is."""
FUSED = Soft(sigma=2.0, fine_sigma=0.5)
"""What cells are compared with, on the scored level."""
_AT_SIDE = (np.s_[:, 0], np.s_[:, -1], np.s_[0, :], np.s_[-1, :])
"""The parts of a cell at each side."""


@dataclass(frozen=True, eq=False)
class Assessment:
    """What single planes would cost, cell by cell; 0 where there is no specimen.

    Attributes
    ----------
    plane : ndarray of int16, (rows, columns)
        The planes chosen, those corrected included.
    loss : ndarray of float32, (rows, columns)
        Root mean square by which the cell's plane differs from the fused picture, both shrunk, in grey levels of 255,
        noise taken off.
    lowest, highest : ndarray of int16, (rows, columns)
        First and last of the planes that any of its parts wants.
    shows : ndarray of float32, (4, rows, columns)
        At each of `planish.recipe.SIDES`, the difference of sharpness between its plane and its neighbour's.
    noise : float
        Standard deviation of a score between planes that show nothing.
    decoded : int
        Tile-planes decoded for it.
    """

    plane: NDArray[np.int16]
    loss: NDArray[np.float32]
    lowest: NDArray[np.int16]
    highest: NDArray[np.int16]
    shows: NDArray[np.float32]
    noise: float
    decoded: int


def assess(
    slide: Slide, focus: PlaneMap, jobs: int = 1, progress: Progress | None = None, *, correct: bool = False
) -> Assessment:
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
    correct : bool
        Whether cells get another plane that is sharper on the scored level; otherwise the map's planes stand.

    Memory: per thread the planes of one storage tile of the scored level, the scores of two rows of them (64 bytes
    per cell and plane), and 26 bytes a cell.
    """
    before = slide.decoded.total()
    scores = _PartScores.of(slide, focus)
    wanted = np.unique(scores.block_of(*np.nonzero(focus.specimen)))
    some = wanted[:: max(1, len(wanted) // NOISE_BLOCKS)][:NOISE_BLOCKS].tolist()
    sample = {number: list(scores.block(number)) for number in some}
    found = _Found(focus, *_noise([cell for cells in sample.values() for cell in cells]), correct=correct)
    rows = [wanted[wanted // scores.blocks.columns == row] for row in np.unique(wanted // scores.blocks.columns)]
    with in_threads(scores.row, ((row, sample) for row in rows), jobs, ordered=True) as results:
        for done, cells in enumerate(results, 1):
            found.add(cells)
            if progress:
                progress("looking inside cells", done, len(rows))
    return found.assessment(slide.decoded.total() - before)


class _Cell(NamedTuple):
    """What is known of a cell on the scored level.

    Attributes
    ----------
    row, column : int
        Its place in the cell grid.
    scores : ndarray of float32, (planes, PARTS, PARTS)
        Sharpness of its parts, in grey levels of 255.
    change : ndarray of float32, (planes,)
        Mean squared difference between a plane and the fused picture, in (grey levels of 255)².
    """

    row: int
    column: int
    scores: NDArray[np.float32]
    change: NDArray[np.float32]


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

    def row(self, numbers: NDArray[np.intp], known: Mapping[int, list[_Cell]]) -> list[_Cell]:
        """Return the cells of a row of blocks, some of them known already."""
        return [cell for number in numbers.tolist() for cell in known.get(number) or self.block(number)]

    def block(self, number: int) -> Iterator[_Cell]:
        """Yield row, column and scores, (planes, PARTS, PARTS), of the specimen cells of a block."""
        block_row, block_column = divmod(number, self.blocks.columns)
        box = self.blocks.box(block_column, block_row)
        unit = np.float32(255 / np.iinfo(self.slide.dtype).max)
        greys = [
            _shrunk(luma(self.slide.read_region(self.level, plane, *box)), self.shrink) * unit
            for plane in range(len(self.slide.planes))
        ]
        detail = np.stack([cv2.absdiff(cv2.blur(grey, (5, 5)), grey) for grey in greys])
        change = np.square(np.stack(greys) - _fused(greys))
        rows = slice(block_row * self.blocks.down, (block_row + 1) * self.blocks.down)
        columns = slice(block_column * self.blocks.across, (block_column + 1) * self.blocks.across)
        origin = np.array([rows.start, columns.start])
        for row, column in (np.argwhere(self.specimen[rows, columns]) + origin).tolist():
            x, y, width, height = self.blocks.cell_box(column, row)
            down = _borders(y - box.y, height, self.shrink, detail.shape[1])
            across = _borders(x - box.x, width, self.shrink, detail.shape[2])
            inside = (slice(None), _pixels(down, detail.shape[1]), _pixels(across, detail.shape[2]))
            yield _Cell(row, column, _means(detail, down, across, inside), change[inside].mean(axis=(1, 2)))


def _fused(greys: list[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Return what fusing all planes makes of a block, (height, width)."""
    planes = ArrayPlanes([grey[..., None] for grey in greys])
    height, width = greys[0].shape
    image: NDArray[np.float32] = FUSED.fuse(Window(planes, Box(0, 0, width, height), HostBackend())).image[..., 0]
    return image


def _borders(start: int, length: int, shrink: int, limit: int) -> NDArray[np.intp]:
    """Return the first pixel of each part along one axis, and the end."""
    borders = np.linspace(start / shrink, (start + length) / shrink, PARTS + 1).round().astype(np.intp)
    return np.clip(borders, 0, limit)


def _pixels(borders: NDArray[np.intp], limit: int) -> slice:
    """Return the pixels of a cell along one axis, one at least: its only one may have been shrunk away."""
    first = min(int(borders[0]), limit - 1)
    return slice(first, max(int(borders[-1]), first + 1))


def _means(
    detail: NDArray[Any], down: NDArray[np.intp], across: NDArray[np.intp], inside: tuple[slice, ...]
) -> NDArray[np.float32]:
    """Return the mean detail of each part, (planes, PARTS, PARTS); the cell's where it has fewer pixels than parts."""
    heights, widths = np.diff(down), np.diff(across)
    means, cell = np.empty((len(detail), PARTS, PARTS), np.float32), detail[inside]
    if heights.min() > 0 and widths.min() > 0:
        sums = np.add.reduceat(np.add.reduceat(cell, down[:-1] - down[0], axis=1), across[:-1] - across[0], axis=2)
        means[:] = sums / (heights[:, None] * widths)
    else:
        means[:] = cell.mean(axis=(1, 2))[:, None, None]
    return means


def _shrunk(grey: NDArray[np.float32], factor: int) -> NDArray[np.float32]:
    if factor == 1:
        return grey
    size = max(1, grey.shape[1] // factor), max(1, grey.shape[0] // factor)
    return np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_AREA), np.float32)


def _noise(cells: list[_Cell]) -> tuple[float, float]:
    """Return what noise alone does to scores and pixels: see `_Found`."""
    if not cells:
        return 0.0, 0.0
    scores = np.concatenate([cell.scores.reshape(len(cell.scores), -1) for cell in cells], axis=1)
    lowest, highest = scores.min(axis=0), scores.max(axis=0)
    contrast = highest - lowest
    quiet = scores[:, (contrast <= np.percentile(contrast, 25)) & (highest <= QUIET * lowest)]
    deviation = 1.4826 * np.median(np.abs(quiet - np.median(quiet, axis=0))) if quiet.size else 0.0
    # The mean of |noise| is √(2/π)·σ; twice its σ², as compression makes it uneven. Missing tiles have none.
    most = np.pi * np.percentile(lowest[lowest > 0], 5) ** 2 if lowest.any() else 0.0
    return float(deviation), float(min(np.percentile([cell.change.min() for cell in cells], 5), most))


class _Found:
    """An assessment under way: rows of cells come from top to bottom.

    Parameters
    ----------
    focus : PlaneMap
        The planes chosen so far.
    noise : float
        Standard deviation between planes of the scores in the quietest quarter of the parts; 0 where all of them
        change with focus.
    least : float
        Mean squared change by fusing that cells have at least, the 5th percentile: noise, which fusing averages away.
        Twice the variance of the noise at most: where cells are few, all of them may change by more.
    correct : bool
        See `assess`.
    """

    def __init__(self, focus: PlaneMap, noise: float, least: float, *, correct: bool) -> None:
        self._noise, self._least, self._correct = noise, least, correct
        self._plane = focus.plane.copy()
        self._loss = np.zeros(focus.plane.shape, np.float32)
        self._lowest, self._highest = focus.plane.copy(), focus.plane.copy()
        self._shows = np.zeros((4, *focus.plane.shape), np.float32)
        self._waiting: list[_Cell] = []

    def add(self, cells: list[_Cell]) -> None:
        """Take a row of blocks, and judge the borders of the one above, whose neighbours are known now."""
        for cell in cells:
            self._judge(*cell)
        self._judge_borders()
        self._waiting = cells

    def assessment(self, decoded: int) -> Assessment:
        """Return it."""
        self._judge_borders()
        arrays = (self._plane, self._loss, self._lowest, self._highest, self._shows)
        return Assessment(*arrays, self._noise, decoded)

    def _judge(self, row: int, column: int, scores: NDArray[np.float32], change: NDArray[np.float32]) -> None:
        """Choose a cell's plane, and say what it lacks."""
        own, whole = int(self._plane[row, column]), scores.mean(axis=(1, 2))
        if self._correct and whole.max() > whole[own] + self._noise:
            own = int(whole.argmax())
            self._plane[row, column] = own
        top = scores.max(axis=0)
        self._loss[row, column] = np.sqrt(max(0.0, change[own] - self._least))
        telling = top - scores.min(axis=0) > CONTRAST + NOISE_WIDTH * self._noise
        best = np.append(scores.argmax(axis=0)[telling], own)
        self._lowest[row, column], self._highest[row, column] = best.min(), best.max()

    def _judge_borders(self) -> None:
        plane = self._plane
        for row, column, scores, _ in self._waiting:
            own = int(plane[row, column])
            for side, (down, across) in enumerate(NEIGHBOURS):
                if 0 <= row + down < plane.shape[0] and 0 <= column + across < plane.shape[1]:
                    change = np.abs(scores[own] - scores[plane[row + down, column + across]])[_AT_SIDE[side]]
                    self._shows[side, row, column] = np.maximum(change - NOISE_WIDTH * self._noise, 0).mean()
