"""Hot and dead pixels of a camera, found from its dark frame or from a volume, and replaced."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from planish.errors import OptionError
from planish.lightsheet.background import background_level
from planish.lightsheet.knee import knee

_CORE = 4.0
"""Deviations within which pixels of a dark frame tell how much a good one varies."""
_MAD = 1.4826
"""Standard deviation of a normal distribution per median absolute deviation."""
_STEP = 0.5
"""Least deviation of whole or half counts: their rounding alone leaves 0.29."""
_ROUNDING = 1e-6
"""Least deviation of other numbers, as a share of the level."""
_FACTOR = 3.0
"""By which a bad pixel's variation along z differs from its neighbours' at least."""
_ENOUGH_PLANES = 16
"""Of fewer planes, the variation of good pixels differs by such factors, too."""


@dataclass(frozen=True, slots=True)
class BadPixelOptions:
    """How bad pixels are told.

    Attributes
    ----------
    threshold : float
        Standard deviations of good pixels that a bad one lies off at least.
    median_range : int
        Edge in pixels of the parts of a dark frame in whose median its level is measured; between them it is
        interpolated.
    """

    threshold: float = 6.0
    median_range: int = 100

    def __post_init__(self) -> None:
        if not self.threshold > 0 or self.median_range < 1:
            raise OptionError(
                "bad pixels: the threshold must be above 0, the median range at least 1 px; got "
                f"{self.threshold} and {self.median_range}"
            )


def find_bad_pixels(
    volume: Any, dark: NDArray[Any] | None = None, options: BadPixelOptions | None = None
) -> NDArray[np.bool_]:
    """Find a camera's bad pixels.

    With a dark frame: those beyond `threshold` deviations from its level. Without: those whose mean over z differs
    from the 3 × 3 median of the means beyond the knee of all such differences, relative to the signal, or whose
    standard deviation over z does so, and by a factor of 3. Memory is five planes of float64.

    Parameters
    ----------
    volume : array-like, (Z, Y, X)
        Only its shape is looked at where there is a dark frame; else it is read plane by plane, twice.
    dark : ndarray or None, (Y, X) or (N, Y, X)
        What the camera gives without light; the median of several frames.
    options : BadPixelOptions or None
        How.

    Returns
    -------
    ndarray of bool, (Y, X)

    Raises
    ------
    OptionError
        Where the dark frame is not of the volume's size.
    """
    options = options or BadPixelOptions()
    if dark is None:
        return _bad_in_volume(volume, options)
    frame = np.asarray(np.median(dark, axis=0) if dark.ndim == 3 else dark)
    if frame.shape != tuple(volume.shape[-2:]):
        raise OptionError(
            f"the dark frame is {frame.shape[1]} × {frame.shape[0]} px, the volume {volume.shape[-1]} × "
            f"{volume.shape[-2]}; take the camera's own, cropped and turned like the volume, or none"
        )
    return _bad_in_dark(frame, options)


def _bad_in_dark(dark: NDArray[Any], options: BadPixelOptions) -> NDArray[np.bool_]:
    level = _level(dark, options.median_range)
    deviation = np.abs(dark - level)
    whole = bool((np.rint(2.0 * dark) == 2.0 * dark).all())  # the median of two frames may have halves
    least = _STEP if whole else _ROUNDING * float(np.abs(level).max())
    rough = max(_MAD * float(np.median(deviation)), least)
    # Of whole counts the median says little more than 1 or 2: what is not far off measures the rest.
    core = deviation[deviation <= _CORE * rough]
    return np.asarray(deviation > options.threshold * max(float(np.sqrt(np.mean(core**2))), least))


def _level(dark: NDArray[Any], size: int) -> NDArray[np.float64]:
    """Return the medians of parts of about `size` px, interpolated: a chip may glow towards an edge."""
    rows, columns = (max(1, round(side / size)) for side in dark.shape)
    medians = [
        [np.median(part) for part in np.array_split(band, columns, axis=1)]
        for band in np.array_split(dark, rows, axis=0)
    ]
    return _between(dark.shape[0], rows) @ np.array(medians) @ _between(dark.shape[1], columns).T


def _between(size: int, parts: int) -> NDArray[np.float64]:
    """Return the matrix, (size, parts), that interpolates linearly between the parts' middles, and goes on beyond."""
    weights = np.zeros((size, parts))
    if parts == 1:
        return weights + 1
    at = np.arange(size)
    middles = np.array([part.mean() for part in np.array_split(at, parts)])
    left = np.clip(np.searchsorted(middles, at) - 1, 0, parts - 2)
    share = (at - middles[left]) / (middles[left + 1] - middles[left])
    weights[at, left], weights[at, left + 1] = 1 - share, share
    return weights


def _bad_in_volume(volume: Any, options: BadPixelOptions) -> NDArray[np.bool_]:
    mean, deviation = _moments(volume)
    around = cv2.medianBlur(mean, 3)
    off = np.abs(mean - around)
    # Relative to the signal, or where there is none to what is usual: a bright edge is no row of bad pixels.
    bad = _beyond_knee(off / np.maximum(around - background_level(volume), _usual(off)), options)
    if volume.shape[0] < _ENOUGH_PLANES:
        return bad
    around = cv2.medianBlur(deviation, 3)
    off = np.abs(deviation - around)
    least = _usual(off)
    ratio = (deviation + least) / (around + least)
    return bad | _beyond_knee(off, options) & ((ratio > _FACTOR) | (ratio < 1 / _FACTOR))


def _usual(off: NDArray[np.float32]) -> float:
    return max(float(np.median(off)), float(np.finfo(np.float32).tiny))


def _beyond_knee(off: NDArray[np.float32], options: BadPixelOptions) -> NDArray[np.bool_]:
    """Any values have a knee, also those of a camera without bad pixels: it must lie beyond the threshold."""
    return off > max(knee(off), options.threshold * _MAD * float(np.median(off)))


def _moments(volume: Any) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return mean and standard deviation over z, both (Y, X)."""
    first = np.asarray(volume[0], np.float64)
    total, squares = np.zeros_like(first), np.zeros_like(first)
    for z in range(1, volume.shape[0]):
        # From the first plane on: squares of large numbers would leave nothing of small deviations.
        above = np.subtract(volume[z], first).astype(np.float32)
        cv2.accumulate(above, total)
        cv2.accumulateSquare(above, squares)
    total /= volume.shape[0]
    squares /= volume.shape[0]
    variance = np.maximum(squares - total**2, 0)
    return (first + total).astype(np.float32), np.sqrt(variance).astype(np.float32)


def replace_bad_pixels(planes: NDArray[Any], bad: NDArray[np.bool_]) -> NDArray[Any]:
    """Return planes in which every bad pixel has the median of the 3 × 3 px around it, as in MATLAB's `medfilt2`.

    Parameters
    ----------
    planes : ndarray, (Y, X) or (Z, Y, X)
        Of any type; beyond the edges the outermost pixels go on.
    bad : ndarray of bool, (Y, X)
        Which to replace.
    """
    replaced = np.array(planes)
    height, width = bad.shape
    y, x = np.nonzero(bad)
    dy, dx = np.mgrid[-1:2, -1:2].reshape(2, 9, 1)
    rows, columns = np.clip(y + dy, 0, height - 1), np.clip(x + dx, 0, width - 1)
    for plane in replaced.reshape(-1, height, width):
        plane[y, x] = np.partition(plane[rows, columns], 4, axis=0)[4]
    return replaced
