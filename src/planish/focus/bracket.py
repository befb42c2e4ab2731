"""The bracket sampler, for cytology: clusters have planes of their own, so no cell is inferred from another."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from planish.focus import profile
from planish.focus.sampler import Sampler

SMALL_COMPONENT = 3
"""Specimens of at most so many cells are scored in full. With 9, sparse cytology cost 62 % of its tile-planes instead
of 57 %, and agreed with dense scoring no better (99.5 %)."""

NEAR = 0.12
"""A plane short of the best by at most this share of the profile's range may be a second maximum. With 0.05, dense
cytology agreed with dense scoring on 98.3 % of its cells instead of 98.7 %, for 51.5 instead of 52.3 %."""

EIGHT_CONNECTED = np.ones((3, 3), bool)


def coarse_planes(planes: int) -> NDArray[np.intp]:
    """Return every third plane, such that every plane is one of them or next to one (15 planes: 1, 4, 7, 10, 13)."""
    count = -(-planes // 3)
    return (2 * np.arange(count) + 1) * planes // (2 * count)


class BracketSampler(Sampler):
    """Scores every third plane of every specimen cell, then both sides of the best, climbing while it improves.

    Of two maxima that are nearly equal, both are bracketed. Components of at most `SMALL_COMPONENT` cells, 8-connected,
    are scored in full. Costs about half of all cell-planes at 15 planes.
    """

    def __init__(self, mask: NDArray[np.bool_], planes: int) -> None:
        super().__init__(mask, planes)
        components, _ = ndimage.label(self.mask, EIGHT_CONNECTED)
        small = self.mask & (np.bincount(components.ravel())[components] <= SMALL_COMPONENT)
        self._wanted[small] = True
        rows, columns = np.nonzero(self.mask)
        self._wanted[rows[:, None], columns[:, None], coarse_planes(planes)] = True

    def _extend(self) -> bool:
        missing = profile.flanks(self.scores[self.mask], NEAR) & np.isnan(self.scores[self.mask])
        self._wanted[self.mask] |= missing
        return bool(missing.any())
