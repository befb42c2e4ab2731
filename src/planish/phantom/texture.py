"""Value noise on hashed integer lattices: a texture that depends on position alone, so that patches join unseen."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from planish.model import Box

Field = NDArray[np.float32]

SPREAD = 4.3
"""Brings uniform numbers, interpolated in two directions, to unit standard deviation."""


def fractal(box: Box, periods: Sequence[float], seed: int) -> Field:
    """Sum value noise over several periods, all of the same strength.

    Parameters
    ----------
    box : Box
        Where to evaluate, in pixels; any integers, negative ones too.
    periods : sequence of float
        Distances between lattice points in pixels.
    seed : int
        Another seed is another texture.

    Returns
    -------
    ndarray of float32, (height, width)
        Mean 0, standard deviation about 1.
    """
    total = value_noise(box, periods[0], seed)
    for octave, period in enumerate(periods[1:], start=1):
        total += value_noise(box, period, seed + octave * 0x51ED)
    total /= np.float32(np.sqrt(len(periods)))
    return total


def value_noise(box: Box, period: float, seed: int) -> Field:
    """Interpolate a lattice of random values, `period` pixels apart; mean 0, standard deviation about 1."""
    first_x, columns, across = _taps(box.x, box.width, period)
    first_y, rows, down = _taps(box.y, box.height, period)
    values = uniform(first_x, first_y, int(columns[-1]) + 4, int(rows[-1]) + 4, seed) - np.float32(0.5)
    values *= np.float32(SPREAD)
    return _blend(np.ascontiguousarray(_blend(values.T, columns, across).T), rows, down)


def _taps(start: int, count: int, period: float) -> tuple[int, NDArray[np.int64], Field]:
    """Return the first lattice point, each pixel's first of four points from there, and their weights, (4, count)."""
    position = (np.arange(start, start + count) + 0.5) / period
    point = np.floor(position).astype(np.int64)
    t = position - point
    # Catmull and Rom's cubic.
    weights = (
        -0.5 * t + t**2 - 0.5 * t**3,
        1 - 2.5 * t**2 + 1.5 * t**3,
        0.5 * t + 2 * t**2 - 1.5 * t**3,
        -0.5 * t**2 + 0.5 * t**3,
    )
    return int(point[0]) - 1, point - point[0], np.array(weights, np.float32)


def _blend(rows: Field, first: NDArray[np.int64], weights: Field) -> Field:
    """Interpolate between rows. Not a matrix product: that would start threads for next to no work."""
    total = rows[first] * weights[0, :, None]
    for tap in range(1, 4):
        total += rows[first + tap] * weights[tap, :, None]
    return total


def softened(canvas: NDArray[np.uint8] | Field, sigma: float) -> Field:
    """Blur by a Gaussian of `sigma` pixels; what cv2 drew in 0 to 255 becomes 0 to 1."""
    scale = np.float32(1 / 255) if canvas.dtype == np.uint8 else np.float32(1)
    return np.asarray(cv2.GaussianBlur(canvas.astype(np.float32) * scale, (0, 0), sigma), np.float32)


def uniform(x: int, y: int, columns: int, rows: int, seed: int) -> Field:
    """Hash lattice points to numbers in 0 to 1, (rows, columns); the same point always gives the same number."""
    across = (np.arange(x, x + columns) & 0xFFFFFFFF).astype(np.uint32) * np.uint32(0x9E3779B1)
    down = (np.arange(y, y + rows) & 0xFFFFFFFF).astype(np.uint32) * np.uint32(0x85EBCA77)
    # The finaliser of MurmurHash3, after a first mix that keeps x and y apart.
    mixed = _scramble(across[None, :] + np.uint32(seed * 0xC2B2AE3D & 0xFFFFFFFF)) ^ down[:, None]
    return np.asarray(_scramble(mixed) >> np.uint32(8), np.float32) * np.float32(2**-24)


def _scramble(values: NDArray[np.uint32]) -> NDArray[np.uint32]:
    values = (values ^ (values >> np.uint32(16))) * np.uint32(0x85EBCA6B)
    values = (values ^ (values >> np.uint32(13))) * np.uint32(0xC2B2AE35)
    return values ^ (values >> np.uint32(16))
