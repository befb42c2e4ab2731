"""Samplers decide which planes of which cells to score, and what follows for the other cells. They do no IO.

A caller runs any of them alike::

    while not sampler.done:
        cells = sampler.pending()
        sampler.feed(cells, [score_of(row, column, plane) for row, column, plane in cells])

Arrays are on the cell grid, (rows, columns), with the planes along a third axis where there is one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from planish.focus import profile
from planish.planemap import How

Cells = NDArray[np.intp]
"""(n, 3): row, column and plane of n cell-planes."""


class Sampler(ABC):
    """Base of the samplers: keeps the scores, and asks for whatever is wanted and not known.

    Parameters
    ----------
    mask : ndarray of bool, (rows, columns)
        True where there is specimen. Other cells are never asked for.
    planes : int
        Number of focal planes.

    Attributes
    ----------
    mask, planes
        As given.
    scores : ndarray of float32, (rows, columns, planes)
        What was fed, in the scorer's own unit; NaN where unknown.
    """

    def __init__(self, mask: NDArray[np.bool_], planes: int) -> None:
        if planes < 1:
            raise ValueError(f"a sampler needs at least one plane, got {planes}")
        self.mask = np.asarray(mask, bool)
        self.planes = planes
        self.scores = np.full((*self.mask.shape, planes), np.nan, np.float32)
        self._wanted = np.zeros(self.scores.shape, bool)
        self._pending: Cells | None = None

    @abstractmethod
    def _extend(self) -> bool:
        """Widen `_wanted`, all of which is known by now; return False where there is nothing left to ask."""

    def pending(self) -> Cells:
        """Return the cell-planes to score next, by row, column and plane; none of them is known, none when done."""
        if self._pending is None:
            self._pending = np.argwhere(self._wanted & np.isnan(self.scores))
            while not len(self._pending) and self._extend():
                self._pending = np.argwhere(self._wanted & np.isnan(self.scores))
        return self._pending

    def feed(self, cells: ArrayLike, scores: ArrayLike) -> None:
        """Take in scores, of pending cell-planes or of any others: one coarse tile yields many cells at once.

        Parameters
        ----------
        cells : array_like of int, (n, 3)
            Row, column and plane.
        scores : array_like of float, (n,)
            Their sharpness. Where a cell-plane comes twice, the last counts.

        Raises
        ------
        ValueError
            Where a score is not finite: its cell-plane would be asked for without end.
        """
        where: NDArray[Any] = np.asarray(cells, np.intp).reshape(-1, 3)
        values = np.asarray(scores, np.float32)
        if values.shape != where.shape[:1] or not np.isfinite(values).all():
            raise ValueError(f"{len(where)} cell-planes need as many finite scores, got {values}")
        self.scores[tuple(where.T)] = values
        self._pending = None

    def adopt(self, other: Sampler) -> None:
        """Take in all that another sampler of the same cells knows."""
        known = np.argwhere(~np.isnan(other.scores))
        self.feed(known, other.scores[tuple(known.T)])

    @property
    def done(self) -> bool:
        """Whether nothing is left to ask."""
        return not len(self.pending())

    @property
    def settled(self) -> NDArray[np.bool_]:
        """(rows, columns): True where the scores decide, False where the plane is inferred from other cells."""
        return self.mask & ~np.isnan(self.scores).all(axis=2)

    @property
    def inferred_plane(self) -> NDArray[np.integer]:
        """(rows, columns): the plane of cells that are not settled; the middle one where nothing is known."""
        return np.full(self.mask.shape, self.planes // 2, np.int16)

    @property
    def plane(self) -> NDArray[np.int16]:
        """(rows, columns): the chosen plane; of equally sharp ones the lowest."""
        best = profile.best_plane(self.scores)
        return np.where(self.settled, best, self.inferred_plane).astype(np.int16)

    @property
    def how(self) -> NDArray[np.uint8]:
        """(rows, columns): values of `How`; cells outside the mask are glass."""
        how = np.where(self.settled, How.SAMPLED, How.INFERRED)
        how[~np.isnan(self.scores).any(axis=2)] = How.DENSE
        how[~self.mask] = How.GLASS
        return how.astype(np.uint8)

    @property
    def margin(self) -> NDArray[np.float32]:
        """(rows, columns): (best − second best) / best of the scores, 0 to 1; NaN where they do not decide."""
        return np.where(self.settled, profile.margin(self.scores), np.float32(np.nan))

    @property
    def sharpness(self) -> NDArray[np.float32]:
        """(rows, columns): score of the chosen plane, NaN where it was not scored."""
        return profile.score_at(self.scores, self.plane)


class DenseSampler(Sampler):
    """Scores every plane of every specimen cell."""

    def __init__(self, mask: NDArray[np.bool_], planes: int) -> None:
        super().__init__(mask, planes)
        self._wanted[self.mask] = True

    def _extend(self) -> bool:
        return False
