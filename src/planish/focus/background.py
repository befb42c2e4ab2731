"""Glass: cells with nothing to focus on take the plane of the nearest specimen."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

SPREAD = 8.0
"""Median absolute deviations above the contrast of glass that still are glass."""

ENOUGH_PLANES = 5
"""A cell with fewer scores, all of them near its best plane, shows no contrast."""


def like_glass(
    scores: NDArray[np.float32], mask: NDArray[np.bool_], glass_profiles: NDArray[np.float32]
) -> NDArray[np.bool_]:
    """Find the cells of the mask whose scores change with focus no more than those of glass.

    Parameters
    ----------
    scores : ndarray of float32, (rows, columns, planes)
        A sampler's scores, NaN where unknown.
    mask : ndarray of bool, (rows, columns)
        Where specimen is supposed.
    glass_profiles : ndarray of float32, (n, planes)
        Scores of cells that are surely glass. The quietest of the specimen's own cells will not do instead: on a slide
        without noisy glass among them they are the edges of cells, half of what a wrong plane can cost.

    Returns
    -------
    ndarray of bool, (rows, columns)
        True where the contrast, max − min over the planes, is below f0 + 8 MAD of the glass. Only cells with
        `ENOUGH_PLANES` scores are judged; without any glass none is.
    """
    count = (~np.isnan(scores)).sum(axis=2)
    judged = mask & (count >= min(ENOUGH_PLANES, scores.shape[2])) & (count > 1)
    glass = np.zeros(mask.shape, bool)
    reference = _contrast(glass_profiles)
    if judged.any() and len(reference):
        floor = np.median(reference)
        limit = floor + SPREAD * np.median(np.abs(reference - floor))
        glass[judged] = _contrast(scores[judged]) < limit
    return glass


def _contrast(profiles: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return max − min of each row.

    Not max / median: JPEG flattens glass, and a ratio of two scores near zero may be anything; and a sampler scores
    more planes near the best one, which lifts the median but not the minimum.
    """
    if not len(profiles):
        return np.empty(0, np.float32)
    return np.asarray(np.nanmax(profiles, axis=1) - np.nanmin(profiles, axis=1), np.float32)


def fill_glass(plane: NDArray[np.int16], specimen: NDArray[np.bool_], planes: int) -> NDArray[np.int16]:
    """Return `plane` with every cell outside `specimen` given the plane of the nearest specimen cell.

    Both are (rows, columns). Without any specimen it is the middle one of `planes`.
    """
    if not specimen.any():
        return np.full(plane.shape, planes // 2, np.int16)
    nearest = ndimage.distance_transform_edt(~specimen, return_distances=False, return_indices=True)
    return np.asarray(plane[tuple(nearest)], np.int16)
