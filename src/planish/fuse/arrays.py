"""`ArrayBackend`: the fusion methods' operations with any array library that works like NumPy and `scipy.ndimage`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from planish.fuse.backend import NOTHING, Array, gaussian_kernel, half_widths

CROSS = np.array([[0, 1, 0], [1, -4, 1], [0, 1, 0]])
"""Of whole numbers, which makes both libraries add in float64."""


class ArrayBackend:
    """Plain array functions; see `planish.fuse.backend.Backend`. What a GPU runs is tested with it on NumPy.

    Parameters
    ----------
    xp, ndimage : module
        ``numpy`` and ``scipy.ndimage``, or ``cupy`` and ``cupyx.scipy.ndimage``.
    """

    def __init__(self, xp: Any, ndimage: Any) -> None:
        self.xp, self._ndimage = xp, ndimage
        self.name: str = xp.__name__

    def free_bytes(self) -> int | None:
        """Return None: unknown."""
        return None

    def put(self, array: NDArray[Any]) -> Array:
        """Bring an array to the library."""
        return self.xp.asarray(array)

    def get(self, array: Array) -> NDArray[Any]:
        """Bring an array back."""
        return np.asarray(array)

    def grey(self, pixels: Array) -> Array:
        """Return the luma."""
        channels = [pixels[..., channel] for channel in range(pixels.shape[2])]
        if len(channels) == 1:
            return self.xp.ascontiguousarray(channels[0], np.float32)
        if len(channels) == 3:
            return self._rgb_grey(*channels)
        total = channels[0].astype(np.float32)
        for channel in channels[1:]:
            total += channel
        total /= np.float32(len(channels))
        return total

    def _rgb_grey(self, red: Array, green: Array, blue: Array) -> Array:
        grey = np.float32(0.299) * red.astype(np.float32)
        grey += np.float32(0.587) * green.astype(np.float32)
        grey += np.float32(0.114) * blue.astype(np.float32)
        return grey

    def variance(self, image: Array, radius_x: float, radius_y: float, *, about: float | None = None) -> Array:
        """Return the variance from sums of x and x² in float64, whatever `about` is."""
        widths = half_widths(radius_x, radius_y)
        footprint = np.zeros((2 * len(widths) - 1, 2 * widths[0] + 1))
        for dy, width in enumerate(widths):
            for row in (len(widths) - 1 - dy, len(widths) - 1 + dy):
                footprint[row, widths[0] - width : widths[0] + width + 1] = 1
        image = image.astype(np.float64)
        weights, count = self.xp.asarray(footprint), int(footprint.sum())
        total, square = (self._ndimage.correlate(values, weights, mode="nearest") for values in (image, image * image))
        wide = square * count - total * total
        return (wide * (1 / count**2)).astype(np.float32)

    def gaussian(self, image: Array, sigma: float) -> Array:
        """Return the blurred image."""
        return self._separable(image, gaussian_kernel(sigma))

    def mean(self, image: Array, window: int) -> Array:
        """Return the box mean."""
        return self._separable(image, np.full(window, 1 / window, np.float32))

    def _separable(self, image: Array, taps: NDArray[np.float32]) -> Array:
        weights = self.xp.asarray(taps)
        for axis in (1, 0):
            image = self._ndimage.correlate1d(image, weights, axis, mode="nearest")
        return image

    def median(self, image: Array) -> Array:
        """Return the 3 × 3 median."""
        return self._ndimage.median_filter(image, 3, mode="nearest")

    def laplacian(self, image: Array) -> Array:
        """Return the Laplacian."""
        return self._ndimage.correlate(image, self.xp.asarray(CROSS), mode="nearest")

    def shrink(self, image: Array, factor: int) -> Array:
        """Return the block means, added up in one order wherever a block lies."""
        rows = sum(image[start::factor] for start in range(1, factor)) + image[::factor]
        blocks = sum(rows[:, start::factor] for start in range(1, factor)) + rows[:, ::factor]
        return blocks / np.float32(factor**2)

    def grow(self, image: Array, factor: int) -> Array:
        """Return the enlarged image."""
        for axis in (1, 0):
            at = (np.arange(image.shape[axis] * factor) + 0.5) / factor - 0.5
            lower = np.floor(at).astype(np.intp)
            share = (at - lower).astype(np.float32).reshape((-1, 1) if axis == 0 else (1, -1))
            before, after = self._neighbours(image, axis, lower, (0, 1))
            image = before * self.xp.asarray(1 - share) + after * self.xp.asarray(share)
        return image

    def reduce(self, image: Array) -> Array:
        """Return the image at half its size."""
        for axis in (1, 0):
            middle = np.arange(0, image.shape[axis], 2)
            far, near, own, nearer, farther = self._neighbours(image, axis, middle, (-2, -1, 0, 1, 2))
            image = (far + farther + 4 * (near + nearer) + 6 * own) / 16
        return image

    def expand(self, image: Array, shape: tuple[int, int]) -> Array:
        """Return the image at twice its size."""
        for axis in (1, 0):
            middle = np.arange(shape[axis]) // 2
            odd = self.xp.asarray(np.arange(shape[axis]) % 2 == 1)
            odd = odd.reshape([-1 if each == axis else 1 for each in range(image.ndim)])
            before, own, after = self._neighbours(image, axis, middle, (-1, 0, 1))
            image = self.xp.where(odd, (own + after) / 2, (before + 6 * own + after) / 8)
        return image

    def _neighbours(self, image: Array, axis: int, at: NDArray[np.intp], offsets: tuple[int, ...]) -> list[Array]:
        """Return the pixels at places along an axis, shifted by each offset."""
        last = image.shape[axis] - 1
        return [self.xp.take(image, self.xp.asarray(np.clip(at + offset, 0, last)), axis) for offset in offsets]

    def sharpest(self, height: int, width: int, channels: int, dtype: np.dtype[Any]) -> ArraySharpest:
        """Return an empty `ArraySharpest`."""
        return ArraySharpest(self.xp, (height, width, channels), dtype)

    def blend(
        self, height: int, width: int, channels: int, dtype: np.dtype[Any], power: float, *, depth: bool
    ) -> ArrayBlend:
        """Return an empty `ArrayBlend`."""
        return ArrayBlend(self.xp, (height, width, channels), dtype, power, depth=depth)


class ArraySharpest:
    """See `planish.fuse.backend.Sharpest`."""

    def __init__(self, xp: Any, shape: tuple[int, int, int], dtype: np.dtype[Any]) -> None:
        self._xp = xp
        self.image = xp.empty(shape, dtype)
        self.index = xp.zeros(shape[:2], np.int16)
        self._best = xp.full(shape[:2], -np.inf, np.float32)

    def add(self, measure: Array, pixels: Array, plane: int) -> None:
        """Offer a plane."""
        sharper = measure > self._best
        self._best[...] = self._xp.maximum(self._best, measure)
        self.index[sharper] = plane
        self.image[...] = self._xp.where(sharper[..., None], pixels, self.image)


class ArrayBlend:
    """See `planish.fuse.backend.Blend`; weights as in `planish.fuse.gather.HostBlend`."""

    def __init__(
        self, xp: Any, shape: tuple[int, int, int], dtype: np.dtype[Any], power: float, *, depth: bool
    ) -> None:
        self._dtype, self._power, self._xp = dtype, power, xp
        self._sum = xp.zeros(shape, np.float32)
        self._weight, self._top = xp.zeros(shape[:2], np.float32), xp.zeros(shape[:2], np.float32)
        self._depth = xp.zeros(shape[:2], np.float32) if depth else None

    def add(self, measure: Array, pixels: Array, plane: int) -> None:
        """Add a plane."""
        measure = self._xp.maximum(measure, NOTHING)
        higher = self._xp.maximum(self._top, measure)
        fade, share = ((part / higher) ** np.float32(self._power) for part in (self._top, measure))
        self._top = higher
        self._weight = self._weight * fade + share
        self._sum *= fade[..., None]
        self._sum += share[..., None] * pixels.astype(np.float32)
        if self._depth is not None:
            self._depth = self._depth * fade + share * np.float32(plane)

    def image(self) -> Array:
        """Return the weighted mean."""
        mean = self._sum / self._weight[..., None]
        return (self._xp.rint(mean, out=mean) if self._dtype.kind in "ui" else mean).astype(self._dtype)

    def depth(self) -> Array | None:
        """Return the weighted mean plane."""
        return None if self._depth is None else self._depth / self._weight
