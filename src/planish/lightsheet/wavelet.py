"""Two planes made one in the wavelet domain: the mean of what is coarse, the stronger of what is fine.

Pajares and de la Cruz 2004, 10.1016/j.patcog.2004.03.010; with MATLAB's ``wfusimg(…, 'db4', 5, 'mean', 'max')``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pywt
from numpy.typing import NDArray

WAVELET = "db4"
LEVELS = 5


def fuse_planes(first: NDArray[Any], second: NDArray[Any]) -> NDArray[np.float32]:
    """Fuse two planes.

    Parameters
    ----------
    first, second : ndarray, (Y, X)
        Of any real dtype.

    Returns
    -------
    ndarray of float32, (Y, X)
        Beside strong edges it may lie outside of the range of both planes.
    """
    # Beyond this level there is nothing but the border's mirror image.
    levels = min(LEVELS, pywt.dwtn_max_level(first.shape, WAVELET))
    one, other = (pywt.wavedec2(np.asarray(plane, np.float32), WAVELET, level=levels) for plane in (first, second))
    fused: list[Any] = [(one[0] + other[0]) / 2]
    for mine, yours in zip(one[1:], other[1:], strict=True):
        fused.append(tuple(np.where(np.abs(a) >= np.abs(b), a, b) for a, b in zip(mine, yours, strict=True)))
    height, width = first.shape
    return np.asarray(pywt.waverec2(fused, WAVELET), np.float32)[:height, :width]
