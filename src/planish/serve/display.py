"""`Stretch`: how pixels other than 8-bit grey and RGB are shown; one for a whole slide, so that tiles fit together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from planish.report.thumbnail import STRETCH, middle_plane
from planish.slide.base import Slide

_SIDE = 8
"""Tiles looked at along each axis, at most."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """The values that are shown as black and as white.

    Other numbers of channels than three are shown as the grey of their mean, three as colours, stretched alike.
    """

    low: float
    high: float

    @classmethod
    def of(cls, slide: Slide) -> Self | None:
        """Return the stretch between `STRETCH` of up to 64 tiles of the middle plane's smallest level.

        None where pixels are shown as they are: 8-bit grey and RGB.
        """
        if slide.dtype == np.uint8 and len(slide.channels) in (1, 3):
            return None
        level = len(slide.levels) - 1
        grid = slide.levels[level]
        values = [
            _plain(slide.read_tile(level, middle_plane(slide), column, row)).ravel()
            for row in _spread(grid.rows)
            for column in _spread(grid.columns)
        ]
        low, high = np.percentile(np.concatenate(values), STRETCH)
        return cls(float(low), float(high if high > low else low + 1))

    def apply(self, pixels: NDArray[Any]) -> NDArray[np.uint8]:
        """Return (height, width, 1 or 3) uint8 to look at."""
        unit = (_plain(pixels) - self.low) / (self.high - self.low)
        return np.asarray(np.rint(255 * np.clip(unit, 0, 1)), np.uint8)


def _plain(pixels: NDArray[Any]) -> NDArray[Any]:
    """Return finite numbers of one or three channels."""
    values = np.nan_to_num(pixels.astype(np.result_type(pixels.dtype, np.float32)))
    return values if values.shape[2] == 3 else np.asarray(values.mean(axis=2, keepdims=True))


def _spread(count: int) -> list[int]:
    """Return up to `_SIDE` numbers evenly spread over range(count)."""
    taken = min(count, _SIDE)
    return [(2 * index + 1) * count // (2 * taken) for index in range(taken)]
