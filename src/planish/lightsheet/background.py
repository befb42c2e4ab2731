"""The level that a camera gives without light."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from planish.errors import OptionError

DARK_PERCENTILE = 3.0
"""Of a dark frame's pixels: its background."""


def prctile(values: NDArray[Any], percentile: float) -> float:
    """Return a percentile of values, interpolated as MATLAB's `prctile` does (Hazen 1914)."""
    return float(np.percentile(values, percentile, method="hazen"))


def dark_level(dark: NDArray[Any], percentile: float = DARK_PERCENTILE) -> float:
    """Return the background that a dark frame shows: a percentile of its pixels, in counts."""
    return prctile(dark, percentile)


def background_level(volume: Any, percentile: float = 5.0, step: int = 100) -> float:
    """Return the background that a volume itself shows: a percentile of every step-th voxel that is not zero.

    Memory is a plane and, of the volume, one voxel in `step`.

    Parameters
    ----------
    volume : array-like, (Z, Y, X)
        Read plane by plane.
    percentile : float
        0 to 100; as MATLAB's `prctile` has it.
    step : int
        Every how many voxels one is taken, counted over those that are not zero.

    Returns
    -------
    float
        In counts; 0 where all voxels are zero.

    Raises
    ------
    OptionError
        Where the percentile or the step is out of range.
    """
    if not 0 <= percentile <= 100 or step < 1:
        raise OptionError(f"background: percentile 0 to 100 and step at least 1, got {percentile} and {step}")
    taken, skip = [], 0
    for z in range(volume.shape[0]):
        plane = np.asarray(volume[z]).ravel()
        lit = plane[plane != 0]
        # The count goes on from plane to plane, as if the voxels stood in one row.
        taken.append(lit[skip::step])
        skip = (skip - lit.size) % step
    sample = np.concatenate(taken) if taken else np.empty(0)
    return prctile(sample, percentile) if sample.size else 0.0
