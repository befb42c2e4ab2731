"""`BlockSlide`: a slide drawn in fixed blocks of level-0 pixels, whatever its tiles are."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from planish.model import Box, Level
from planish.phantom.cache import Cache
from planish.slide.base import Slide, Source

BLOCK = 256
"""Side of a block in level-0 pixels. Pixels depend on their block, not on the tile: any tile size shows the same."""

DOWNSAMPLES = (1, 4, 16)
"""Level-0 pixels per level pixel, as scanners store them; each divides `BLOCK`."""

CACHE_BYTES = (32 << 20, 24 << 20, 8 << 20)
"""Drawn blocks kept, per level."""


def pyramid(width: int, height: int, tile: int) -> tuple[Level, ...]:
    """Return the levels of `DOWNSAMPLES` whose longer side still fills a tile; the first one always."""
    levels = []
    for downsample in DOWNSAMPLES:
        level_width, level_height = width // downsample, height // downsample
        if downsample == 1 or (max(level_width, level_height) >= tile and min(level_width, level_height) >= 1):
            levels.append(Level(level_width, level_height, tile, tile, width / level_width, height / level_height))
    return tuple(levels)


class BlockSlide(Slide):
    """A slide whose tiles are cut out of drawn blocks.

    Upper levels are area averages of level 0. Memory: `CACHE_BYTES`, whatever the size of the slide.
    """

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        self._blocks: tuple[Cache[NDArray[Any]], ...] = tuple(Cache(limit) for limit in CACHE_BYTES)

    @abstractmethod
    def _draw_block(self, plane: int, column: int, row: int) -> NDArray[Any]:
        """Return a block's level-0 pixels, (`BLOCK`, `BLOCK`, channels), whole also at the slide's edge."""

    def _decode_tile(self, level: int, plane: int, column: int, row: int) -> NDArray[Any]:
        tile = self.levels[level].tile_box(column, row)
        side = BLOCK // DOWNSAMPLES[level]
        pixels = np.empty((tile.height, tile.width, len(self.channels)), self.dtype)
        for block_row in range(tile.y // side, (tile.y + tile.height - 1) // side + 1):
            for block_column in range(tile.x // side, (tile.x + tile.width - 1) // side + 1):
                block = Box(block_column * side, block_row * side, side, side)
                _paste(pixels, tile, self._block(level, plane, block_column, block_row), block)
        return pixels

    def _block(self, level: int, plane: int, column: int, row: int) -> NDArray[Any]:
        block = self._blocks[level].get((plane, column, row))
        if block is not None:
            return block
        if level == 0:
            return self._drawn_levels(plane, column, row)[0]
        # Whoever reads an upper level soon reads its other planes; drawing a block again costs more than they do.
        return [self._drawn_levels(other.index, column, row) for other in self.planes][plane][level]

    def _drawn_levels(self, plane: int, column: int, row: int) -> tuple[NDArray[Any], ...]:
        """Draw a block and keep it at every level."""
        full = self._draw_block(plane, column, row)
        blocks = []
        for downsample, cache in zip(DOWNSAMPLES, self._blocks, strict=True):
            size = BLOCK // downsample, BLOCK // downsample
            block = full if downsample == 1 else cv2.resize(full, size, interpolation=cv2.INTER_AREA)
            cache.put((plane, column, row), block, block.nbytes)
            blocks.append(block)
        return tuple(blocks)


def _paste(pixels: NDArray[Any], tile: Box, part: NDArray[Any], block: Box) -> None:
    """Copy what `block` and `tile` share; both are boxes of one level."""
    left, top = max(tile.x, block.x), max(tile.y, block.y)
    right, bottom = min(tile.x + tile.width, block.x + block.width), min(tile.y + tile.height, block.y + block.height)
    pixels[top - tile.y : bottom - tile.y, left - tile.x : right - tile.x] = part[
        top - block.y : bottom - block.y, left - block.x : right - block.x
    ]
