"""The knee of a sorted curve: where the many small values end and the few large ones begin."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

SAMPLES = 50_000
"""Points of the curve that are looked at."""


def knee(values: NDArray[Any]) -> float:
    """Return the value at which the sorted values lie farthest from the chord between the least and the largest.

    As in the Keller lab's pipeline. Distances from a line along its normal and along the axis differ by one factor, so
    the scale of the axes plays no part.
    """
    ordered = np.sort(values, axis=None)
    if ordered.size > SAMPLES:
        ordered = ordered[np.linspace(0, ordered.size - 1, SAMPLES).round().astype(np.intp)]
    chord = np.linspace(ordered[0], ordered[-1], ordered.size)
    return float(ordered[np.argmax(chord - ordered)])
