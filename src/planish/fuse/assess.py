"""`assess`: how much each cell loses by having one plane only, and how much its borders show."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from planish.fuse.parts import Cell, PartScores
from planish.planemap import PlaneMap
from planish.recipe import NEIGHBOURS
from planish.slide.base import Slide
from planish.threads import Progress, in_threads

NOISE_BLOCKS = 16
"""Blocks of cells from which the noise of the scores is estimated."""
CONTRAST = 0.2
"""Grey levels of 255 by which a part's scores must change with focus to say which plane it wants."""
NOISE_WIDTH = 3.0
"""Standard deviations of the noise that are taken off."""
QUIET = 1.5
"""Times its least score that a part may reach on any plane to count as quiet: in tissue without glass none is."""
APART = 2
"""Planes that lie between what parts of a cell want where they show different structures; on a slope it is 1."""
VALLEY = 0.25
"""Share of a part's contrast by which its scores must fall between two planes that are both sharp."""
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
    overlap : ndarray of uint8, (rows, columns)
        1 where two planes are sharp that lie apart: for different parts, or for one that is less sharp between them.
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
    overlap: NDArray[np.uint8]
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
    scores = PartScores.of(slide, focus)
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


def _noise(cells: list[Cell]) -> tuple[float, float]:
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


def _valley(scores: NDArray[np.float32], least: float) -> NDArray[np.bool_]:
    """Return where scores, (planes, …), have two peaks, and a valley between them."""
    before = np.maximum.accumulate(scores, axis=0)
    after = np.maximum.accumulate(scores[::-1], axis=0)[::-1]
    contrast = np.ptp(scores, axis=0)
    return np.asarray((contrast > least) & ((np.minimum(before, after) - scores).max(axis=0) > VALLEY * contrast))


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
        self._overlap = np.zeros(focus.plane.shape, np.uint8)
        self._shows = np.zeros((4, *focus.plane.shape), np.float32)
        self._waiting: list[Cell] = []

    def add(self, cells: list[Cell]) -> None:
        """Take a row of blocks, and judge the borders of the one above, whose neighbours are known now."""
        for cell in cells:
            self._judge(*cell)
        self._judge_borders()
        self._waiting = cells

    def assessment(self, decoded: int) -> Assessment:
        """Return it."""
        self._judge_borders()
        arrays = (self._plane, self._loss, self._lowest, self._highest, self._overlap, self._shows)
        return Assessment(*arrays, self._noise, decoded)

    def _judge(self, row: int, column: int, scores: NDArray[np.float32], change: NDArray[np.float32]) -> None:
        """Choose a cell's plane, and say what it lacks."""
        own, whole = int(self._plane[row, column]), scores.mean(axis=(1, 2))
        if self._correct and whole.max() > whole[own] + self._noise:
            own = int(whole.argmax())
            self._plane[row, column] = own
        self._loss[row, column] = np.sqrt(max(0.0, change[own] - self._least))
        least = CONTRAST + NOISE_WIDTH * self._noise
        wanted = scores.argmax(axis=0)[np.ptp(scores, axis=0) > least]
        best = np.append(wanted, own)
        self._lowest[row, column], self._highest[row, column] = best.min(), best.max()
        apart = np.diff(np.unique(wanted)) >= APART
        self._overlap[row, column] = apart.any() or _valley(scores, least).any()

    def _judge_borders(self) -> None:
        plane = self._plane
        for row, column, scores, _ in self._waiting:
            own = int(plane[row, column])
            for side, (down, across) in enumerate(NEIGHBOURS):
                if 0 <= row + down < plane.shape[0] and 0 <= column + across < plane.shape[1]:
                    change = np.abs(scores[own] - scores[plane[row + down, column + across]])[_AT_SIDE[side]]
                    self._shows[side, row, column] = np.maximum(change - NOISE_WIDTH * self._noise, 0).mean()
