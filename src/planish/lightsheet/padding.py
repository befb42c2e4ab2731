"""A transition surface beyond the specimen, where no mask tells it."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from planish.errors import OptionError

Surface = NDArray[np.float32]

PADDINGS = ("none", "centre", "dilate")

RADIUS = 50
"""Of the disk that ``dilate`` widens the known part by, in pixels; MATLAB's."""


def pad(surface: NDArray[Any], mode: str, centre: float, radius: float = RADIUS) -> Surface:
    """Fill a surface where it is unknown.

    Parameters
    ----------
    surface : ndarray, 2-D
        NaN where it is unknown.
    mode : str
        ``"none"``: stays unknown. ``"centre"``: becomes `centre`. ``"dilate"``: within `radius` of what is known, in
        pixels, the surface goes on smoothly; farther out it stays unknown.
    centre : float
        The volume's middle along the blending axis.
    radius : float
        Of the disk.

    Raises
    ------
    OptionError
        Where the mode is another.
    """
    if mode not in PADDINGS:
        raise OptionError(f"a surface has no padding {mode!r}; use {', '.join(PADDINGS)}")
    surface = np.asarray(surface, np.float32)
    known = np.isfinite(surface)
    if mode == "none" or known.all():
        return surface
    if mode == "centre":
        return np.where(known, surface, np.float32(centre))
    if not known.any():
        return surface
    distance = cv2.distanceTransform((~known).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.where(distance <= radius, extended(surface), np.float32(np.nan))


def extended(surface: NDArray[Any]) -> Surface:
    """Return a surface that is known everywhere: kept where it was known, smooth and level beyond.

    What is unknown comes from ever coarser averages of what is known (pull-push interpolation; Gortler et al. 1996,
    10.1145/237170.237200). It must be known somewhere.
    """
    surface = np.asarray(surface, np.float32)
    known = np.isfinite(surface)
    return _filled(np.where(known, surface, np.float32(0)), known.astype(np.float32))


def _filled(values: Surface, weights: Surface) -> Surface:
    if bool((weights > 0).all()) or max(values.shape) == 1:
        return values
    height, width = values.shape
    # Blurred first, so that the averages pass into one another and show no blocks.
    size = ((width + 1) // 2, (height + 1) // 2)
    total, share = (cv2.pyrDown(array, dstsize=size) for array in (values * weights, weights))
    total, share = total.reshape(size[::-1]), share.reshape(size[::-1])
    mean = np.divide(total, share, out=np.zeros_like(total), where=share > 0)
    coarse = _filled(mean, (share > 0).astype(np.float32))
    wide = cv2.pyrUp(coarse, dstsize=(width, height))
    return np.where(weights > 0, values, wide.reshape(values.shape)).astype(np.float32)
