"""The focal surface: a local polynomial through the depths of scored cells, and how far off it may be."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

NEIGHBOURS = 12
"""Twice the coefficients of a quadratic, so that as many cells tell its misfit as are needed to fit it."""

RIDGE = np.diag([1e-9, 0.01, 0.01, 0.05, 0.05, 0.05])
"""Lets slope and curvature fade, instead of run away, where the neighbours are few or lie on a line."""

CHUNK = 16_384
"""Targets fitted at a time, which bounds the memory to some 30 MB whatever the slide's size."""


class Prediction(NamedTuple):
    """What is to be expected in each of n cells.

    Attributes
    ----------
    depth : ndarray of float, (n,)
        In planes, at most half a plane outside of the neighbours' depths.
    error : ndarray of float, (n,)
        Standard deviation of what would be measured around `depth`, in planes; infinite with too few neighbours.
    support : ndarray of int, (n,)
        Number of scored cells within reach, at most `NEIGHBOURS`; with 0 nothing is predicted.
    agree : ndarray of bool, (n,)
        Whether all those cells have the same plane.
    """

    depth: NDArray[np.float64]
    error: NDArray[np.float64]
    support: NDArray[np.intp]
    agree: NDArray[np.bool_]


def predict(cells: NDArray[Any], depths: NDArray[Any], targets: NDArray[Any], reach: float) -> Prediction:
    """Predict depths by a weighted quadratic fit to the nearest scored cells.

    Parameters
    ----------
    cells : ndarray of int, (m, 2)
        Row and column of the scored cells.
    depths : ndarray of float, (m,)
        Their depths in planes, with fraction.
    targets : ndarray of int, (n, 2)
        Row and column of the cells in question.
    reach : float
        Largest distance of a neighbour, in cells.

    Returns
    -------
    Prediction
        The error is the misfit of the neighbours (half their own, half the median of all, for a few residuals tell
        little) times √(1 + Σl²), l being the weights with which their depths make up the predicted one.
    """
    tree = cKDTree(cells.reshape(-1, 2))
    parts = [
        _fit(tree, np.append(depths, 0.0), targets[i : i + CHUNK], reach) for i in range(0, max(len(targets), 1), CHUNK)
    ]
    depth, misfit, spread, support, agree = (np.concatenate(values) for values in zip(*parts, strict=True))
    solid = support == NEIGHBOURS
    usual = np.median(misfit[solid]) if solid.any() else 0.0
    error = np.sqrt((misfit + usual) / 2 * (1 + spread))
    return Prediction(depth, np.where(solid, error, np.inf), support, agree)


def _fit(tree: cKDTree, depths: NDArray[Any], targets: NDArray[Any], reach: float) -> tuple[NDArray[Any], ...]:
    """Return depth, misfit, Σl², support and agreement; the tree's index of a missing neighbour is the last depth."""
    distance, index = tree.query(targets, k=NEIGHBOURS, distance_upper_bound=reach)
    near = np.isfinite(distance)
    distance = np.where(near, distance, 0)
    values = depths[index]
    scale = distance.max(axis=1, keepdims=True) + 1e-9
    weights = np.where(near, np.exp(-2 * (distance / scale) ** 2), 0)
    positions = np.vstack([tree.data, [[0, 0]]])[index]
    y, x = np.moveaxis((positions - targets[:, None]) / scale[..., None] * near[..., None], -1, 0)
    design = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=-1)
    weighted = (design * weights[..., None]).transpose(0, 2, 1)
    smoother = np.linalg.solve(weighted @ design + RIDGE, weighted)
    coefficients = smoother @ values[..., None]
    residual = values - (design @ coefficients)[..., 0]
    degrees = NEIGHBOURS / (NEIGHBOURS - design.shape[-1])
    misfit = degrees * (weights * residual**2).sum(axis=1) / (weights.sum(axis=1) + 1e-9)
    low = np.where(near, values, np.inf).min(axis=1)
    high = np.where(near, values, -np.inf).max(axis=1)
    depth = np.clip(coefficients[:, 0, 0], low - 0.5, high + 0.5)
    return depth, misfit, (smoother[:, 0] ** 2).sum(axis=1), near.sum(axis=1), np.rint(low) == np.rint(high)
