"""The ramp from one view to the other: how much of every voxel each of them gives."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Part(NamedTuple):
    """What of a plane comes from the first view alone, and from both; the first view's share of the latter."""

    first: NDArray[np.bool_]
    both: NDArray[np.bool_]
    share: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Ramp:
    """A linear change from the first view to the second, around a surface.

    Attributes
    ----------
    shape : tuple of int
        (Z, Y, X) of the views.
    surface : ndarray of float64
        (Y, X) in planes, or (Y, Z) in pixels along x. Where it is NaN, both views count half.
    width : float
        Of the ramp on either side, in planes or pixels; with 0 a voxel on the surface takes half of both.
    axis : str
        ``"z"`` or ``"x"``.
    front : int
        Which view is in front.
    """

    shape: tuple[int, int, int]
    surface: NDArray[np.float64]
    width: float
    axis: str = "z"
    front: int = 0

    @cached_property
    def _clear(self) -> tuple[float, float]:
        """Up to which plane and from which one on the ramp is not met; NaN, which compares as False, if unknown."""
        if self.axis != "z":
            return np.nan, np.nan
        low, high = float(self.surface.min()), float(self.surface.max())
        return low - self.width, high + self.width

    def single(self, plane: int) -> int | None:
        """Return the view, 0 or 1, that all of a plane comes from; None if there may be both."""
        before, behind = self._clear
        if plane < before:
            return self.front
        return 1 - self.front if plane > behind else None

    def part(self, plane: int) -> Part:
        """Return where a plane comes from."""
        size = self.shape[1:]
        along_z = self.axis == "z"
        behind = plane - self.surface if along_z else np.arange(size[1]) - self.surface[:, plane, None]
        behind = np.broadcast_to(-behind if self.front else behind, size)
        both = np.isnan(behind) | (np.abs(behind) < self.width) | (behind == 0)
        on = behind[both]
        share = np.full(on.shape, 0.5)
        if self.width:
            np.divide(self.width - on, 2 * self.width, out=share, where=np.isfinite(on))
        return Part(behind < 0, both, share)
