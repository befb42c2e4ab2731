"""`HostSharpest` and `HostBlend`: what planes are gathered in, strip by strip, on the processor."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from planish.fuse.backend import LEAST, NOTHING
from planish.fuse.strips import strips

Float = NDArray[np.float32]
_CHANNELS = 4
"""Channels that every function of OpenCV takes."""


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


def _copy(pixels: NDArray[Any], mask: NDArray[np.uint8], into: NDArray[Any]) -> None:
    """Copy pixels where the mask says so; ten times as fast with OpenCV where it takes as many channels."""
    if pixels.shape[2] <= _CHANNELS:
        cv2.copyTo(np.ascontiguousarray(pixels), mask, into)
    else:
        np.copyto(into, pixels, where=mask.view(np.bool_)[..., None])


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
