"""Robust loess, as MATLAB's ``smooth(x, y, span, 'rloess')``: what a slow course is, whatever a few samples say.

Cleveland 1979, 10.1080/01621459.1979.10481038: around every sample a polynomial, weighted by the tricube of the
distance; then again and again, with the bisquare of how far each sample was off.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from planish.errors import OptionError

Floats = NDArray[np.float64]

_REACH = 6.0
"""Samples that are off by so many median absolute residuals, four standard deviations, count no more."""
_EXACT = 1e-8
"""The least of that median, as a share of the largest value: rounding is no outlier of a course without noise."""


class Course(NamedTuple):
    """What a series was smoothed to.

    Attributes
    ----------
    values : ndarray of float64, (n,)
        The smooth course at every x.
    weights : ndarray of float64, (n,)
        The bisquare weight of each sample in the end: 0 of an outlier, NaN where there was no sample.
    """

    values: Floats
    weights: Floats


def robust_loess(x: NDArray[Any], y: NDArray[Any], window: int, degree: int = 2, iterations: int = 5) -> Floats:
    """Return y smoothed; see `robust_course`."""
    return robust_course(x, y, window, degree, iterations).values


def robust_course(x: NDArray[Any], y: NDArray[Any], window: int, degree: int = 2, iterations: int = 5) -> Course:
    """Smooth a series by robust local regression.

    Parameters
    ----------
    x : ndarray, (n,)
        Rising, in any unit and at any distance.
    y : ndarray, (n,)
        NaN for a missing sample; there the course goes straight between its neighbours, and level beyond the ends.
    window : int
        How many samples make up each fit; all of them where there are fewer.
    degree : int
        Of the local polynomial.
    iterations : int
        How often the samples are weighed anew.

    Returns
    -------
    Course
        As many values as x has.

    Raises
    ------
    OptionError
        Where x does not rise, or the window is too small for the degree.
    """
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if x.ndim != 1 or x.shape != y.shape or not (np.diff(x) > 0).all():
        raise OptionError(f"a series is as many x as y, with x rising; got {x.shape} and {y.shape}")
    if window < degree + 2:
        raise OptionError(f"loess of degree {degree} takes a window of at least {degree + 2} samples, not {window}")
    known = np.isfinite(y)
    weights = np.full(len(y), np.nan)
    if not known.any():
        return Course(np.full(len(y), np.nan), weights)
    values, weights[known] = _smoothed(x[known], y[known], window, degree, iterations)
    return Course(np.interp(x, x[known], values), weights)


def robust_weights(residuals: Floats, scale: float) -> Floats:
    """Return the bisquare weight of each residual: (1 - (r / 6 MAD)²)², 0 from there on."""
    spread = max(float(np.median(np.abs(residuals))), _EXACT * scale)
    if spread == 0:
        return np.ones_like(residuals)
    return np.asarray(np.clip(1 - (residuals / (_REACH * spread)) ** 2, 0, None) ** 2)


def _smoothed(x: Floats, y: Floats, window: int, degree: int, iterations: int) -> tuple[Floats, Floats]:
    weights = np.ones(len(y))
    if len(y) < degree + 2:
        return y, weights  # too few to tell a course from noise
    near = _neighbours(x, min(window, len(x)))
    distance = x[near] - x[:, None]
    scale = np.abs(distance).max(axis=1, keepdims=True)
    tricube = (1 - np.abs(distance / scale) ** 3) ** 3
    design = (distance / scale)[..., None] ** np.arange(degree + 1)
    values = local_fit(design, tricube, y[near])
    for _ in range(iterations):
        weights = robust_weights(y - values, float(np.abs(y).max()))
        values = local_fit(design, tricube * weights[near], y[near])
    return values, weights


def _neighbours(x: Floats, count: int) -> NDArray[np.intp]:
    """Return the indices of the nearest samples of each one, itself among them: (n, count)."""
    index = np.arange(len(x))
    starts = np.clip(index[:, None] + np.arange(1 - count, 1), 0, len(x) - count)
    farthest = np.maximum(x[:, None] - x[starts], x[starts + count - 1] - x[:, None])
    first = np.take_along_axis(starts, farthest.argmin(axis=1)[:, None], axis=1)
    return np.asarray(first + np.arange(count), np.intp)


def local_fit(design: Floats, weights: Floats, values: Floats, ridge: Floats | float = 0.0) -> Floats:
    """Return the constant term of many weighted least-squares fits.

    Parameters
    ----------
    design : ndarray, (n, samples, terms)
        Of each fit, 1 first, in units of its reach.
    weights, values : ndarray, (n, samples)
        Of each fit.
    ridge : ndarray, (terms,), or 0
        How much each term is held down, as a share of the weights' sum.
    """
    weighted = (design * weights[..., None]).swapaxes(1, 2)
    # Where outliers leave fewer samples than terms, the pseudo-inverse takes the flattest polynomial.
    held = weights.sum(axis=1)[:, None, None] * np.diag(np.broadcast_to(ridge, design.shape[-1:]))
    inverse = np.linalg.pinv(weighted @ design + held, rcond=1e-12, hermitian=True)
    return np.asarray((inverse[:, :1] @ weighted @ values[..., None])[:, 0, 0])
