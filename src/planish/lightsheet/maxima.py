"""Maximum projections of a volume along its three axes, read once by slabs of planes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from planish.lightsheet.stored import SLAB


@dataclass(frozen=True, eq=False)
class Maxima:
    """Maximum projections.

    Attributes
    ----------
    xy, xz, yz : ndarray
        Along z, (Y, X); along y, (Z, X); along x, (Y, Z). Of the volume's dtype.
    """

    xy: NDArray[Any]
    xz: NDArray[Any]
    yz: NDArray[Any]


def maxima(volume: Any, progress: Callable[[int, int], None] | None = None) -> Maxima:
    """Project a volume (Z, Y, X); memory is ten of its planes and the results.

    Parameters
    ----------
    volume : array-like
        Sliced along z.
    progress : callable, optional
        Called with (done, total) in planes.
    """
    depth, height, width = volume.shape
    xy = np.zeros((height, width), volume.dtype)
    xz, yz = np.zeros((depth, width), volume.dtype), np.zeros((height, depth), volume.dtype)
    for z in range(0, depth, SLAB):
        planes = np.asarray(volume[z : z + SLAB])
        highest = planes.max(axis=0)
        xy = np.maximum(xy, highest) if z else highest
        xz[z : z + SLAB] = planes.max(axis=1)
        yz[:, z : z + SLAB] = planes.max(axis=2).T
        if progress:
            progress(min(z + SLAB, depth), depth)
    return Maxima(xy, xz, yz)
