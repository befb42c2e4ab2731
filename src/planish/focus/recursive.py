"""The recursive sampler, for smooth tissue: skip what lies between cells that agree.

The lattice has every 8th cell, then every 4th, 2nd and 1st. Cells of the first two are always scored, so that a block
of 8 × 8 cells is known at its corners, edge midpoints and centre. Scores around the best plane tell the depth of a cell
to a fraction of a plane, and a surface through the nearest of them foretells the depth of others, with an error that
its own misfit tells (`planish.focus.surface`). At every 2nd cell a plane is filled in only where those around are one
and the same, with no tolerance, and at every 1st cell where no other plane is within reach of the error. Elsewhere
the planes within reach are compared.

Discontinuities (folds) widen the misfit, so that more is scored there. Clusters with planes of their own belong to
`planish.focus.bracket`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from planish.focus import profile
from planish.focus.bracket import coarse_planes
from planish.focus.sampler import Sampler
from planish.focus.surface import NEIGHBOURS, Prediction, predict

LATTICE = 8
"""Spacing of the first lattice, in cells."""

ALWAYS_SCORED = 4
"""Down to this spacing nothing is inferred, and both sides of the best plane are scored."""

NEIGHBOURHOOD = 2.5 * LATTICE
"""Scored cells farther away, in cells, say nothing of a cell."""

REACH = 1.8
"""A plane is out of the question more than so many standard errors from the predicted depth; 1.8 leaves 4 % at most."""

LOST = 1.2
"""With an error of so many planes nothing is expected, as beside a fold: every third plane is tried afresh."""

CLIMB = 0.8
"""Of two compared planes the better is left for the one beyond it where the profile peaks so far outside, in planes.

½ would do if all profiles were alike; at 1 the plane beyond would be the best by far.
"""


def lattice(shape: tuple[int, ...], spacing: int, seed: int | None = None) -> NDArray[np.bool_]:
    """Return (rows, columns): True at every `spacing`-th cell, 8 at most, from the first or from a random one."""
    start = (0, 0) if seed is None else np.random.default_rng(seed).integers(0, LATTICE, 2)
    rows, columns = (np.arange(length) % spacing == first % spacing for length, first in zip(shape, start, strict=True))
    return np.asarray(rows[:, None] & columns)


class RecursiveSampler(Sampler):
    """Scores a lattice of cells that is refined where planes are in doubt.

    Parameters
    ----------
    mask, planes
        As for `Sampler`.
    seed : int, optional
        The lattice starts at a random cell; at the upper left one without a seed.
    """

    def __init__(self, mask: NDArray[np.bool_], planes: int, seed: int | None = None) -> None:
        super().__init__(mask, planes)
        self._seed = seed
        self._spacing = 2 * LATTICE
        self._visited = np.zeros(self.mask.shape, bool)
        self._both_sides = np.zeros(self.mask.shape, bool)
        self._inferred = super().inferred_plane
        self._curvature = 0.0
        self._coarse = np.isin(np.arange(planes), coarse_planes(planes))

    @property
    def settled(self) -> NDArray[np.bool_]:
        """(rows, columns): True where the scores decide, and not but a few that came along with others."""
        whole = ~np.isnan(self.scores).any(axis=2)
        asked = (self._wanted & ~np.isnan(self.scores)).any(axis=2)
        return self.mask & (whole | asked)

    @property
    def inferred_plane(self) -> NDArray[np.integer]:
        """(rows, columns): the plane of cells that are not settled."""
        return self._inferred

    def _extend(self) -> bool:
        if self._climb():
            return True
        if self._spacing == 1:
            return False
        self._spacing //= 2
        self._refine()
        return True

    def _climb(self) -> bool:
        """Ask for the planes beside the best where they may be better."""
        cells = self.settled
        scores = self.scores[cells]
        outside = np.abs(profile.peak_offset(scores, self._curvature)) > CLIMB
        doubtful = self._both_sides[cells] | outside
        missing = profile.flanks(scores) & np.isnan(scores) & doubtful[:, None]
        self._wanted[cells] |= missing
        return bool(missing.any())

    def _refine(self) -> None:
        """Visit the cells that the present spacing adds: ask for planes, or fill in."""
        visit = lattice(self.mask.shape, self._spacing, self._seed) & self.mask & ~self._visited
        self._visited |= visit
        targets = np.argwhere(visit)
        expected = self._expect(targets)
        lost = (expected.support == 0) | (np.isfinite(expected.error) & (expected.error > LOST))
        start = np.where(lost[:, None], self._coarse, self._planes_in_reach(expected))
        scores = self.scores[visit]

        sure = (start.sum(axis=1) == 1) & (expected.agree | (self._spacing == 1))
        fill = sure & (expected.support == NEIGHBOURS) & (self._spacing < ALWAYS_SCORED)
        start |= _next_nearest(expected.depth, self.planes) & (start.sum(axis=1) == 1)[:, None]
        # What came along with other cells costs nothing.
        fill &= (start & np.isnan(scores)).any(axis=1)
        self._inferred[visit] = np.where(fill, _nearest(expected.depth, self.planes), self._inferred[visit])
        self._wanted[visit] = start & ~fill[:, None]
        self._both_sides[visit] = ~fill & (lost | (expected.support < NEIGHBOURS) | (self._spacing >= ALWAYS_SCORED))

    def _expect(self, targets: NDArray[np.intp]) -> Prediction:
        known = self.settled
        scores = self.scores[known]
        bends = profile.curvature(scores)
        bends = bends[np.isfinite(bends)]
        self._curvature = float(np.median(bends)) if len(bends) else 0.0
        depths = profile.best_plane(scores) + profile.peak_offset(scores, self._curvature)
        return predict(np.argwhere(known), depths, targets, NEIGHBOURHOOD)

    def _planes_in_reach(self, expected: Prediction) -> NDArray[np.bool_]:
        """(n, planes): those that may be best, one either side at most."""
        reach = np.minimum(REACH * expected.error, 1)
        low, high = (_nearest(expected.depth + sign * reach, self.planes)[:, None] for sign in (-1, 1))
        plane = np.arange(self.planes)
        return np.asarray((low <= plane) & (plane <= high))


def _nearest(depth: NDArray[np.float64], planes: int) -> NDArray[np.intp]:
    return np.clip(np.rint(depth), 0, planes - 1).astype(np.intp)


def _next_nearest(depth: NDArray[np.float64], planes: int) -> NDArray[np.bool_]:
    """(n, planes): the plane beside the nearest one that is next to be best."""
    nearest = _nearest(depth, planes)
    step = np.where(depth >= nearest, 1, -1)
    step = np.where((nearest + step < 0) | (nearest + step >= planes), -step, step)
    return np.asarray(np.arange(planes) == (nearest + step)[:, None])
