"""Gaussian smoothing of a volume plane by plane, in a bounded part of memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from planish.threads import in_threads

_TRUNCATE = 4.0
"""Standard deviations at which a precise kernel ends."""
_SHORT = 5
"""Pixels of the kernel of the Keller lab's pipeline, whatever its sigma."""


@dataclass(frozen=True, slots=True)
class Gaussian:
    """A Gaussian with one width in x and y and another in z.

    Attributes
    ----------
    sigma : float
        Pixels in x and y.
    axial_ratio : float
        Distance of planes per pixel; in z, sigma is ``max(1, sigma / axial_ratio)`` planes.
    precise : bool
        Whether the kernels reach 4 sigma; else they have 5 px in x and y and ``max(1, 5 / axial_ratio)`` in z, as in
        the Keller lab's pipeline, which is faster and smooths less.
    """

    sigma: float = 2.0
    axial_ratio: float = 1.0
    precise: bool = True

    @property
    def lateral(self) -> NDArray[np.float32]:
        """Weights in x and in y."""
        return _weights(self.sigma, np.ceil(_TRUNCATE * self.sigma) if self.precise else _SHORT // 2)

    @property
    def axial(self) -> NDArray[np.float32]:
        """Weights in z."""
        sigma = max(1.0, self.sigma / self.axial_ratio)
        short = round((max(1.0, _SHORT / self.axial_ratio) - 1) / 2)
        return _weights(sigma, np.ceil(_TRUNCATE * sigma) if self.precise else short)


def _weights(sigma: float, reach: float) -> NDArray[np.float32]:
    x = np.arange(-int(reach), int(reach) + 1)
    weights = np.exp(-0.5 * (x / sigma) ** 2)
    return np.asarray(weights / weights.sum(), np.float32)


def smooth_planes(volume: Any, gaussian: Gaussian, slab: int, jobs: int) -> Iterator[NDArray[np.float32]]:
    """Yield the planes of a smoothed volume.

    The outermost voxels go on beyond the edges, as in the Keller lab's pipeline. The result does not depend on the
    slab. Memory is slab + 2 × reach planes of float32, where 4 sigma is the reach, and some per thread.

    Parameters
    ----------
    volume : array-like, (Z, Y, X)
        Read plane by plane in the caller's thread.
    gaussian : Gaussian
        How wide.
    slab : int
        Planes that are smoothed at once.
    jobs : int
        Threads.

    Yields
    ------
    ndarray of float32, (Y, X)
    """
    lateral, axial = gaussian.lateral, gaussian.axial
    depth, reach = volume.shape[0], len(axial) // 2
    held: dict[int, NDArray[np.float32]] = {}
    for start in range(0, depth, slab):
        stop = min(depth, start + slab)
        new = range(max(held, default=-1) + 1, min(depth, stop + reach))
        with in_threads(_blur, ((volume[z], lateral) for z in new), jobs, ordered=True) as blurred:
            held.update(zip(new, blurred, strict=True))
        with in_threads(_across, ((held, z, axial) for z in range(start, stop)), jobs, ordered=True) as planes:
            yield from planes
        held = {z: plane for z, plane in held.items() if z >= stop - reach}


def _blur(plane: Any, weights: NDArray[np.float32]) -> NDArray[np.float32]:
    pixels = np.asarray(plane, np.float32)
    return np.asarray(cv2.sepFilter2D(pixels, cv2.CV_32F, weights, weights, borderType=cv2.BORDER_REPLICATE))


def _across(planes: dict[int, NDArray[np.float32]], z: int, weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the weighted sum of the planes around z; the first and the last plane go on beyond the ends."""
    low, high, reach = min(planes), max(planes), len(weights) // 2
    total = planes[z] * weights[reach]
    for step in range(1, reach + 1):
        pair = cv2.add(planes[max(low, z - step)], planes[min(high, z + step)])
        total = cv2.scaleAdd(pair, float(weights[reach + step]), total)
    return np.asarray(total)
