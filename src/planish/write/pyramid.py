"""Pixels in bands of rows, halved level by level while they stream by: the pyramid is never held."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray


def halve(band: NDArray[Any]) -> NDArray[Any]:
    """Return the band at half size, each pixel the mean of four, rounded to nearest; odd edges are repeated."""
    height, width, channels = band.shape
    if height % 2 or width % 2:
        band = np.pad(band, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    if band.dtype in (np.uint8, np.uint16, np.float32):
        # OpenCV rounds two channels otherwise than one; a channel is the same whatever stands beside it.
        together = channels in (1, 3, 4) and band.dtype.kind == "u"
        parts = [band] if together else [band[..., index] for index in range(channels)]
        size = (band.shape[1] // 2, band.shape[0] // 2)
        small = [cv2.resize(np.ascontiguousarray(part), size, interpolation=cv2.INTER_AREA) for part in parts]
        return np.concatenate([part.reshape(size[1], size[0], -1) for part in small], axis=2)
    quarters = band.reshape(band.shape[0] // 2, 2, band.shape[1] // 2, 2, channels)
    mean = quarters.mean(axis=(1, 3), dtype=np.float64)
    return np.asarray((np.rint(mean) if band.dtype.kind in "ui" else mean).astype(band.dtype))


class Ladder:
    """Takes bands of rows of one level, gives out whole rows of tiles of it and of the levels above.

    Parameters
    ----------
    first : int
        Level of the first of `tile_heights`.
    tile_heights : sequence of int
        Rows of a tile on each level served, even, so that a row of tiles halves into whole pixels. What the ladder
        would pass on to the level after the last gathers in `rest`.

    At most two rows of tiles of each level are held.
    """

    def __init__(self, first: int, tile_heights: Sequence[int]) -> None:
        self._tile_height = dict(enumerate(tile_heights, first))
        self._held: dict[int, NDArray[Any] | None] = dict.fromkeys(self._tile_height)
        self.rest: list[NDArray[Any]] = []

    def push(self, level: int, band: NDArray[Any], *, end: bool) -> Iterator[tuple[int, NDArray[Any]]]:
        """Yield (level, row of tiles) that became whole by this band; `end` says that it is the level's last."""
        if level not in self._tile_height:
            self.rest.append(band)
            return
        held, height = self._held[level], self._tile_height[level]
        held = band if held is None else np.concatenate([held, band])
        while len(held) >= height or (end and len(held)):
            row, held = held[:height], held[height:]
            yield level, row
            yield from self.push(level + 1, halve(row), end=end and not len(held))
        self._held[level] = held if len(held) else None


def fill_tile(tile: NDArray[Any], tile_width: int, tile_height: int) -> NDArray[Any]:
    """Return a tile filled up to full size by repeating its last pixels."""
    missing = (tile_height - tile.shape[0], tile_width - tile.shape[1])
    return np.pad(tile, ((0, missing[0]), (0, missing[1]), (0, 0)), mode="edge") if any(missing) else tile
