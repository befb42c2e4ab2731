"""A pyramid in one pass: bands of rows go in from the top, bands of every level come out.

Held in memory: one band, as wide as the image and one tile high, per level. So the bound is the width, not the height.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from planish.slide.base import Slide

_SMALLEST_SIDE = 32


def kept_downsamples(width: int, height: int, downsamples: Sequence[int]) -> list[int]:
    """Return the downsamples that leave an image worth a level."""
    return [d for d in downsamples if d == 1 or min(width, height) // d >= _SMALLEST_SIDE]


def read_bands(slide: Slide, planes: Sequence[int], rows: int, pool: Executor) -> Iterator[list[NDArray[Any]]]:
    """Yield the full-size pixels of planes in bands of so many rows, the last one lower.

    Each item holds (rows, width, channels) per plane. All planes of a box are read together, as a phantom draws what
    they share only once.
    """
    full = slide.levels[0]

    def read(box: tuple[int, int, int, int]) -> list[NDArray[Any]]:
        return [slide.read_region(0, plane, *box) for plane in planes]

    for y in range(0, full.height, rows):
        height = min(rows, full.height - y)
        boxes = [(x, y, min(rows, full.width - x), height) for x in range(0, full.width, rows)]
        yield [np.concatenate(parts, axis=1) for parts in zip(*pool.map(read, boxes), strict=True)]


class Cascade:
    """Shrinks bands to the levels above, step by step, by averaging areas.

    Parameters
    ----------
    steps : sequence of int
        Factor from each level to the next; all divide `rows`.
    rows : int
        Height of the bands, at every level; only the last one of a level may be lower.
    """

    def __init__(self, steps: Sequence[int], rows: int) -> None:
        self._steps = steps
        self._rows = rows
        self._pending: list[list[NDArray[Any]]] = [[] for _ in steps]

    def feed(self, band: NDArray[Any], level: int = 0) -> Iterator[tuple[int, NDArray[Any]]]:
        """Take the next band of a level; yield it, and what has become complete above, as (level, band)."""
        yield level, band
        if level < len(self._steps):
            self._pending[level].append(shrink(band, self._steps[level]))
            if sum(len(rows) for rows in self._pending[level]) == self._rows:
                yield from self._pass_on(level)

    def finish(self) -> Iterator[tuple[int, NDArray[Any]]]:
        """Yield the last bands of all levels."""
        for level in range(len(self._steps)):
            yield from self._pass_on(level)

    def _pass_on(self, level: int) -> Iterator[tuple[int, NDArray[Any]]]:
        pending, self._pending[level] = self._pending[level], []
        if sum(len(rows) for rows in pending):
            yield from self.feed(np.concatenate(pending), level + 1)


def shrink(band: NDArray[Any], factor: int) -> NDArray[Any]:
    """Average areas of factor × factor pixels; what does not fill one at the right and lower edge is left out."""
    height, width, channels = band.shape[0] // factor, band.shape[1] // factor, band.shape[2]
    if factor == 1 or not height or not width:
        return band[:height, :width]
    whole = band[: height * factor, : width * factor]
    averaged: NDArray[Any] = cv2.resize(whole, (width, height), interpolation=cv2.INTER_AREA)
    return averaged.reshape(height, width, channels)
