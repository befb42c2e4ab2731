"""Pixels in bands of rows, halved level by level while they stream by: the pyramid is never held."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from planish.model import Level


def pyramid_levels(full: Level, tile_width: int, tile_height: int) -> tuple[Level, ...]:
    """Return ÷2 levels from full size down to one that fits a single tile."""
    levels = [Level(full.width, full.height, tile_width, tile_height)]
    while levels[-1].width > tile_width or levels[-1].height > tile_height:
        width, height = -(-levels[-1].width // 2), -(-levels[-1].height // 2)
        levels.append(Level(width, height, tile_width, tile_height, full.width / width, full.height / height))
    return tuple(levels)


def halve(band: NDArray[Any]) -> NDArray[Any]:
    """Return the band at half size, each pixel the mean of four, rounded to nearest; odd edges are repeated."""
    height, width, channels = band.shape
    if height % 2 or width % 2:
        band = np.pad(band, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    if band.dtype in (np.uint8, np.uint16, np.float32) and channels <= 4:
        size = (band.shape[1] // 2, band.shape[0] // 2)
        small: NDArray[Any] = cv2.resize(band, size, interpolation=cv2.INTER_AREA)
        return np.asarray(small.reshape(size[1], size[0], channels))
    quarters = band.reshape(band.shape[0] // 2, 2, band.shape[1] // 2, 2, channels)
    mean = quarters.mean(axis=(1, 3), dtype=np.float64)
    return np.asarray((np.rint(mean) if band.dtype.kind in "ui" else mean).astype(band.dtype))


class Ladder:
    """Takes bands of rows of one level, gives out whole rows of tiles of it and of the levels above.

    Parameters
    ----------
    first, last : int
        Levels that this ladder serves; what it would pass on to `last` + 1 gathers in `rest`.
    tile_height : int
        Rows of a tile, even, so that a row of tiles halves into whole pixels.

    At most two rows of tiles of each level are held.
    """

    def __init__(self, first: int, last: int, tile_height: int) -> None:
        self._last, self._tile_height = last, tile_height
        self._held: dict[int, NDArray[Any] | None] = dict.fromkeys(range(first, last + 1))
        self.rest: list[NDArray[Any]] = []

    def push(self, level: int, band: NDArray[Any], *, end: bool) -> Iterator[tuple[int, NDArray[Any]]]:
        """Yield (level, row of tiles) that became whole by this band; `end` says that it is the level's last."""
        if level > self._last:
            self.rest.append(band)
            return
        held = self._held[level]
        held = band if held is None else np.concatenate([held, band])
        while len(held) >= self._tile_height or (end and len(held)):
            row, held = held[: self._tile_height], held[self._tile_height :]
            yield level, row
            yield from self.push(level + 1, halve(row), end=end and not len(held))
        self._held[level] = held if len(held) else None


def cut_tiles(row: NDArray[Any], tile_width: int, tile_height: int) -> Iterator[NDArray[Any]]:
    """Yield full-size tiles of a row of tiles; those at the edges are filled up by repeating the last pixels."""
    for x in range(0, row.shape[1], tile_width):
        tile = row[:, x : x + tile_width]
        missing = (tile_height - tile.shape[0], tile_width - tile.shape[1])
        yield np.pad(tile, ((0, missing[0]), (0, missing[1]), (0, 0)), mode="edge") if any(missing) else tile
