"""`HostBackend`: the fusion methods' operations with NumPy and OpenCV.

Arithmetic on whole arrays is bound by memory; it goes in strips of rows that stay in the processor's cache.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from planish.focus.measures import luma
from planish.fuse.backend import gaussian_kernel, half_widths

Float = NDArray[np.float32]
_STRIP = 1 << 16
"""Pixels of a strip: a handful of float64 temporaries of it fit a core's own cache."""
_VECTOR = 16
"""Pixels in OpenCV's widest vector of float32."""
_CHANNELS = 4
"""Channels that every function of OpenCV takes."""
_FLOAT32_EXACT = 1 << 24
"""Whole numbers up to here are exact in float32."""

LEAST = np.float32(1e-9)
"""Smallest share of the largest measure that counts: with power 4 its weight is just inside float32."""
NOTHING = np.float32(1e-28)
"""Measures below this are none; LEAST of it is just inside float32."""


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

    def variance(self, image: NDArray[Any], radius_x: float, radius_y: float, *, exact: bool = True) -> Float:
        """Return the variance from sums of x and x²: exact for integers, and rounded alike everywhere for floats."""
        widths = half_widths(radius_x, radius_y)
        count = 2 * sum(2 * width + 1 for width in widths) - (2 * widths[0] + 1)
        of_sum, of_square, middle = _precisions(image.dtype, count, exact=exact)
        reach_x, reach_y = widths[0], len(widths) - 1
        padded = cv2.copyMakeBorder(image, reach_y, reach_y, reach_x, reach_x, cv2.BORDER_REPLICATE)
        variance = np.empty(image.shape, np.float32)
        for top, stop in strips(*image.shape):
            part = padded[top : stop + 2 * reach_y]
            if middle:
                part = np.subtract(part, middle, dtype=np.float32)
            total = _ellipse_sum(part.astype(of_sum, copy=False), widths)
            square = _ellipse_sum(np.square(part, dtype=of_square), widths)
            if exact:  # n·Σx² − (Σx)² is, below 2⁵³; dividing first would round twice
                total, square = total.astype(np.float64, copy=False), square.astype(np.float64, copy=False)
            square *= count
            square -= np.multiply(total, total, out=total)
            np.multiply(square, 1 / count**2, out=variance[top:stop])
        return variance

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


class HostSharpest:
    """See `planish.fuse.backend.Sharpest`."""

    def __init__(self, height: int, width: int, channels: int, dtype: np.dtype[Any]) -> None:
        self.image = np.empty((height, width, channels), dtype)
        self.index = np.zeros((height, width), np.int16)
        self._best: Float | None = None

    def add(self, measure: Float, pixels: NDArray[Any], plane: int) -> None:
        """Offer a plane."""
        if self._best is None:
            self._best = np.array(measure)
            self.image[:], self.index[:] = pixels, plane
            return
        for top, stop in strips(*measure.shape):
            rows = np.s_[top:stop]
            sharper = measure[rows] > self._best[rows]
            np.maximum(self._best[rows], measure[rows], out=self._best[rows])
            mask = sharper.view(np.uint8)
            cv2.copyTo(np.full(mask.shape, plane, np.int16), mask, self.index[rows])
            _copy(pixels[rows], mask, self.image[rows])


class HostBlend:
    """See `planish.fuse.backend.Blend`: weights (m / top)ᵖ, where `top` is the largest measure so far."""

    def __init__(self, shape: tuple[int, int, int], dtype: np.dtype[Any], power: float, *, depth: bool) -> None:
        self._dtype, self._power = dtype, power
        height, width, channels = shape
        # Channel by channel: arithmetic between (rows, columns) and (rows, columns, 3) takes three times as long.
        self._sum = np.zeros((channels, height, width), np.float32)
        self._weight, self._top = np.zeros(shape[:2], np.float32), np.zeros(shape[:2], np.float32)
        self._depth = np.zeros(shape[:2], np.float32) if depth else None

    def add(self, measure: Float, pixels: NDArray[Any], plane: int) -> None:
        """Add a plane."""
        for top, stop in strips(*measure.shape):
            rows = np.s_[top:stop]
            part, best, weight = measure[rows], self._top[rows], self._weight[rows]
            # Where nothing has been measured yet, all planes weigh the same.
            np.maximum(part, NOTHING, out=part)
            higher = np.maximum(best, part)
            fade = _power(np.divide(np.maximum(best, LEAST * higher), higher), self._power)
            share = _power(np.divide(np.maximum(part, LEAST * higher), higher), self._power)
            best[...] = higher
            weight *= fade
            weight += share
            for total, channel in zip(self._sum[:, rows], cv2.split(pixels[rows]), strict=True):
                total *= fade
                total += np.multiply(share, channel, dtype=np.float32)
            if self._depth is not None:
                self._depth[rows] *= fade
                self._depth[rows] += share * plane

    def image(self) -> NDArray[Any]:
        """Return the weighted mean."""
        image = np.empty((*self._weight.shape, len(self._sum)), self._dtype)
        for channel, total in enumerate(self._sum):
            mean = total / self._weight
            image[..., channel] = np.rint(mean, out=mean) if self._dtype.kind in "ui" else mean
        return image

    def depth(self) -> Float | None:
        """Return the weighted mean plane."""
        return None if self._depth is None else np.divide(self._depth, self._weight, dtype=np.float32)


def strips(height: int, width: int) -> Iterator[tuple[int, int]]:
    """Yield (first row, one after the last) of pieces that stay in the cache."""
    rows = max(8, _STRIP // width)
    return ((top, min(top + rows, height)) for top in range(0, height, rows))


def _copy(pixels: NDArray[Any], mask: NDArray[np.uint8], into: NDArray[Any]) -> None:
    """Copy pixels where the mask says so; ten times as fast with OpenCV where it takes as many channels."""
    if pixels.shape[2] <= _CHANNELS:
        cv2.copyTo(np.ascontiguousarray(pixels), mask, into)
    else:
        np.copyto(into, pixels, where=mask.view(np.bool_)[..., None])


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


def _precisions(dtype: np.dtype[Any], count: int, *, exact: bool) -> tuple[Any, Any, np.float32]:
    """Return the dtypes for sums of x and x² over `count` pixels, and what to subtract first where float32 rounds."""
    largest = int(np.iinfo(dtype).max) if dtype.kind in "ui" else 1 << 63
    of_sum, of_square = (
        np.float32 if count * value < _FLOAT32_EXACT or not exact else np.float64 for value in (largest, largest**2)
    )
    rounds = not exact and count * largest**2 >= _FLOAT32_EXACT and dtype.kind in "ui"
    return of_sum, of_square, np.float32((largest + 1) // 2 if rounds else 0)


def _power(values: Float, power: float) -> Float:
    """Raise to a power in place; halves of whole numbers, as the defaults are, by multiplying."""
    twice = 2 * power
    if twice not in (5, 6, 8):
        np.power(values, np.float32(power), out=values)
        return values
    square = values * values
    factor: Float = {5: np.sqrt, 6: np.positive, 8: np.square}[int(twice)](values)
    np.multiply(square, factor, out=values)
    return values


def _ellipse_sum(part: NDArray[Any], widths: list[int]) -> NDArray[Any]:
    """Sum a strip over the ellipse: rows of growing width, from its upper and lower end to its middle."""
    reach_x, reach_y = widths[0], len(widths) - 1
    height, width = part.shape[0] - 2 * reach_y, part.shape[1] - 2 * reach_x
    run = part[:, reach_x : reach_x + width].copy()
    total: NDArray[Any] | None = None
    done = 0
    for dy in range(reach_y, -1, -1):
        for dx in range(done + 1, widths[dy] + 1):
            run += part[:, reach_x - dx : reach_x - dx + width]
            run += part[:, reach_x + dx : reach_x + dx + width]
        done = widths[dy]
        for shift in {reach_y - dy, reach_y + dy}:
            rows = run[shift : shift + height]
            total = rows.copy() if total is None else np.add(total, rows, out=total)
    assert total is not None
    return total
