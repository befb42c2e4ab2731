"""Variance over an ellipse from sums of x and x², strip by strip, on the processor."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from planish.fuse.backend import half_widths
from planish.fuse.strips import strips

_FLOAT32_EXACT = 1 << 24
"""Whole numbers up to here are exact in float32."""


def ellipse_variance(
    image: NDArray[Any], radius_x: float, radius_y: float, about: float | None = None
) -> NDArray[np.float32]:
    """Return the variance, (height, width) float32: see `planish.fuse.backend.Backend.variance`."""
    widths = half_widths(radius_x, radius_y)
    count = 2 * sum(2 * width + 1 for width in widths) - (2 * widths[0] + 1)
    of_sum, of_square, middle = _precisions(image.dtype, count, about)
    reach_x, reach_y = widths[0], len(widths) - 1
    padded = cv2.copyMakeBorder(image, reach_y, reach_y, reach_x, reach_x, cv2.BORDER_REPLICATE)
    variance = np.empty(image.shape, np.float32)
    for top, stop in strips(*image.shape):
        part = padded[top : stop + 2 * reach_y]
        if middle:
            part = np.subtract(part, middle, dtype=np.result_type(image, np.float32)).astype(np.float32, copy=False)
        total = _ellipse_sum(part.astype(of_sum, copy=False), widths)
        square = _ellipse_sum(np.square(part, dtype=of_square), widths)
        if about is None:  # n·Σx² − (Σx)² is exact, below 2⁵³; dividing first would round twice
            total, square = total.astype(np.float64, copy=False), square.astype(np.float64, copy=False)
        square *= count
        square -= np.multiply(total, total, out=total)
        np.multiply(square, 1 / count**2, out=variance[top:stop])
    return variance


def _precisions(dtype: np.dtype[Any], count: int, about: float | None) -> tuple[Any, Any, float]:
    """Return the dtypes for sums of x and x² over `count` pixels, and what to subtract first where float32 rounds."""
    largest = int(np.iinfo(dtype).max) if dtype.kind in "ui" else 1 << 63
    of_sum, of_square = (
        np.float32 if count * value < _FLOAT32_EXACT or about is not None else np.float64
        for value in (largest, largest**2)
    )
    rounds = count * largest**2 >= _FLOAT32_EXACT
    return of_sum, of_square, about if about is not None and rounds else 0.0


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
