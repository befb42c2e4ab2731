"""Parameters over time, smoothed: cameras drift slowly, so that what jumps is a failed registration."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from math import nan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from planish.errors import OptionError
from planish.lightsheet.loess import robust_course
from planish.lightsheet.parameters import Parameters

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class SeriesOptions:
    """How parameters are smoothed over time; MATLAB's defaults.

    Attributes
    ----------
    window : int
        Samples that make up each fit of the robust loess.
    offsets, angles, intensity : int
        Reach of the running averages after it, in time points either side: of shifts, of turns, of gains and
        backgrounds. Towards the ends it shrinks on both sides, so that a drift is not bent.
    static : bool
        The mean over all time points instead of the running averages.
    """

    window: int = 20
    offsets: int = 10
    angles: int = 10
    intensity: int = 5
    static: bool = False

    def __post_init__(self) -> None:
        if self.window < 4:
            raise OptionError(f"the window of the robust loess is 4 samples or more, not {self.window}")
        if min(self.offsets, self.angles, self.intensity) < 0:
            raise OptionError("running averages reach 0 or more time points either side")


@dataclass(frozen=True)
class _Quantity:
    """A column: which options' reach averages it, and from which difference on an outlier is worth a note."""

    name: str
    reach: str
    notable: float


_QUANTITIES = (
    _Quantity("dx", "offsets", 0.1),
    _Quantity("dy", "offsets", 0.1),
    _Quantity("dz", "offsets", 0.1),
    _Quantity("angle_deg", "angles", 0.02),
    _Quantity("angle_xz_deg", "angles", 0.02),
    _Quantity("gain", "intensity", 0.01),
    _Quantity("channel_gain", "intensity", 0.01),
    _Quantity("first_background", "intensity", 1.0),
    _Quantity("second_background", "intensity", 1.0),
)


def smooth(
    table: Iterable[Parameters], options: SeriesOptions | None = None, times: Iterable[int] | None = None
) -> tuple[Parameters, ...]:
    """Smooth each series of a table: robust loess, linear interpolation, running averages.

    Parameters
    ----------
    table : iterable of Parameters
        Of any number of series, in any order.
    options : SeriesOptions
        How.
    times : iterable of int or None
        Time points that the result is to have in addition; None for all from a series' first to its last.

    Returns
    -------
    tuple of Parameters
        By series and time. `note` names outliers, by how much they were off, and rows that were interpolated, whose
        score is NaN.

    Raises
    ------
    OptionError
        Where a series has a time point twice.
    """
    options = options or SeriesOptions()
    ordered = sorted(table, key=lambda row: (row.series, row.time))
    wanted = None if times is None else set(times)
    return tuple(
        row
        for _, series in groupby(ordered, key=lambda row: row.series)
        for row in _smoothed(list(series), options, wanted)
    )


def _smoothed(rows: Sequence[Parameters], options: SeriesOptions, times: set[int] | None) -> list[Parameters]:
    dense = _dense(rows, times)
    at = np.array([row.time for row in dense], np.float64)
    columns: dict[str, Floats] = {}
    notes: list[list[str]] = [[row.note] if row.note else [] for row in dense]
    for quantity in _QUANTITIES:
        seen = np.array([getattr(row, quantity.name) for row in dense], np.float64)
        course = robust_course(at, seen, options.window)
        off = seen - course.values
        for index in np.flatnonzero((course.weights == 0) & (np.abs(off) > quantity.notable)):
            notes[index].append(f"{quantity.name} was off by {off[index]:+.4g}")
        if options.static:
            columns[quantity.name] = np.full(len(at), course.values.mean())
        else:
            columns[quantity.name] = _averaged(course.values, getattr(options, quantity.reach))
    return [
        _filled(row, {name: values[index] for name, values in columns.items()}, "; ".join(notes[index]))
        for index, row in enumerate(dense)
    ]


def _filled(row: Parameters, values: Mapping[str, float], note: str) -> Parameters:
    numbers: dict[str, Any] = {name: float(value) for name, value in values.items()}
    return replace(row, note=note, **numbers)


def _dense(rows: Sequence[Parameters], times: set[int] | None) -> list[Parameters]:
    """Add rows without values for the time points that are missing."""
    there = {row.time: row for row in rows}
    if len(there) < len(rows):
        raise OptionError(f"a series of specimen {rows[0].specimen} has a time point twice; remove one row")
    wanted = set(range(min(there), max(there) + 1)) if times is None else times | there.keys()
    one = rows[0]
    empty = Parameters(one.specimen, 0, one.first_camera, one.second_camera, one.channel, note="interpolated")
    return [there.get(time) or replace(empty, time=time, score=nan) for time in sorted(wanted)]


def _averaged(values: Floats, reach: int) -> Floats:
    index = np.arange(len(values))
    each = np.minimum(reach, np.minimum(index, len(values) - 1 - index))
    total = np.concatenate([[0.0], np.cumsum(values)])
    return np.asarray((total[index + each + 1] - total[index - each]) / (2 * each + 1))
