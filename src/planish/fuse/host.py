"""`HostBackend`: the fusion methods' operations with NumPy and OpenCV.

Arithmetic on whole arrays is bound by memory; it goes in strips of rows that stay in the processor's cache: see
`planish.fuse.ellipse` and `planish.fuse.gather`.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from planish.focus.measures import luma
from planish.fuse.backend import gaussian_kernel
from planish.fuse.ellipse import ellipse_variance
from planish.fuse.gather import HostBlend, HostSharpest

Float = NDArray[np.float32]
_VECTOR = 16
"""Pixels in OpenCV's widest vector of float32."""


class HostBackend:
    """NumPy and OpenCV; see `planish.fuse.backend.Backend`."""

    name = "numpy"
    xp: Any = np

    def free_bytes(self) -> int | None:
        """Return None: windows lie in the main memory."""
        return None

    def put(self, array: NDArray[Any]) -> NDArray[Any]:
        """Return the array."""
        return array

    def get(self, array: NDArray[Any]) -> NDArray[Any]:
        """Return the array."""
        return array

    def grey(self, pixels: NDArray[Any]) -> Float:
        """Return the luma."""
        return luma(_full_steps(pixels))[:, : pixels.shape[1]]

    def variance(self, image: NDArray[Any], radius_x: float, radius_y: float, *, about: float | None = None) -> Float:
        """Return the variance."""
        return ellipse_variance(image, radius_x, radius_y, about)

    def gaussian(self, image: Float, sigma: float) -> Float:
        """Return the blurred image."""
        taps = gaussian_kernel(sigma)
        return _separable(image, taps)

    def mean(self, image: Float, window: int) -> Float:
        """Return the box mean."""
        taps = np.full(window, 1 / window, np.float32)
        # Not cv2.blur, whose running sums carry rounding from one row to the next.
        return _separable(image, taps)

    def median(self, image: Float) -> Float:
        """Return the 3 × 3 median."""
        return np.asarray(cv2.medianBlur(image, 3))

    def laplacian(self, image: Float) -> Float:
        """Return the Laplacian."""
        return np.asarray(cv2.Laplacian(image, cv2.CV_32F, borderType=cv2.BORDER_REPLICATE))

    def shrink(self, image: Float, factor: int) -> Float:
        """Return the block means."""
        size = image.shape[1] // factor, image.shape[0] // factor
        filled = _full_steps(image, _VECTOR * factor)
        blocks = cv2.resize(filled, (filled.shape[1] // factor, size[1]), interpolation=cv2.INTER_AREA)
        return np.asarray(blocks, np.float32).reshape(size[1], -1)[:, : size[0]]

    def grow(self, image: Float, factor: int) -> Float:
        """Return the enlarged image."""
        size = image.shape[1] * factor, image.shape[0] * factor
        return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)).reshape(size[::-1])

    def reduce(self, image: Float) -> Float:
        """Return the image at half its size."""
        height, width = image.shape[:2]
        # pyrDown rounds the last columns in another way, whatever the width: they must lie in the filling.
        filled = cv2.copyMakeBorder(image, 0, 0, 0, 2 * _VECTOR, cv2.BORDER_REPLICATE)
        small = cv2.pyrDown(filled, borderType=cv2.BORDER_REPLICATE)[:, : (width + 1) // 2]
        return np.asarray(small, np.float32).reshape((height + 1) // 2, (width + 1) // 2, *image.shape[2:])

    def expand(self, image: Float, shape: tuple[int, int]) -> Float:
        """Return the image at twice its size."""
        # pyrUp knows only one border, and that is another one on the left than on the right.
        filled = cv2.copyMakeBorder(image, 1, 1, 1, 1 + _VECTOR, cv2.BORDER_REPLICATE)
        large = cv2.pyrUp(filled)[2 : 2 + shape[0], 2 : 2 + shape[1]]
        return np.asarray(large, np.float32).reshape(*shape, *image.shape[2:])

    def sharpest(self, height: int, width: int, channels: int, dtype: np.dtype[Any]) -> HostSharpest:
        """Return an empty `HostSharpest`."""
        return HostSharpest(height, width, channels, dtype)

    def blend(
        self, height: int, width: int, channels: int, dtype: np.dtype[Any], power: float, *, depth: bool
    ) -> HostBlend:
        """Return an empty `HostBlend`."""
        return HostBlend((height, width, channels), dtype, power, depth=depth)


def _full_steps(image: NDArray[Any], step: int = _VECTOR) -> NDArray[Any]:
    """Return the image filled up to whole vectors of pixels, by repeating its last column.

    OpenCV rounds what is left over at the end of a row in another way (without fused multiply-add); a pixel must not
    depend on where in a window it lies.
    """
    missing = -image.shape[1] % step
    if not missing:
        return image
    return np.concatenate([image, np.repeat(image[:, -1:], missing, axis=1)], axis=1)


def _separable(image: Float, taps: NDArray[np.float32]) -> Float:
    filled = _full_steps(image)
    blurred = cv2.sepFilter2D(filled, cv2.CV_32F, taps, taps, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(blurred, np.float32)[:, : image.shape[1]]
