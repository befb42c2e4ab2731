"""`CellGrid`: the decision grid of a slide, and the blocks of cells that one storage tile of a level holds."""

from __future__ import annotations

from dataclasses import dataclass

from planish.model import Box, Level
from planish.slide.base import Slide

MIN_CELL, MAX_CELL, DEFAULT_CELL = 128, 512, 256
"""px at level 0: storage tiles between the first two are cells, else cells are squares of the third."""


@dataclass(frozen=True, slots=True)
class CellGrid:
    """Cells of `width` × `height` level-0 pixels, `columns` × `rows` of them."""

    width: int
    height: int
    columns: int
    rows: int

    @classmethod
    def of(cls, slide: Slide) -> CellGrid:
        """Return the decision grid of a slide."""
        full = slide.levels[0]
        storage = (full.tile_width, full.tile_height)
        fits = all(MIN_CELL <= size <= MAX_CELL for size in storage)
        width, height = storage if fits else (DEFAULT_CELL, DEFAULT_CELL)
        return cls(width, height, -(-full.width // width), -(-full.height // height))


@dataclass(frozen=True, slots=True)
class Blocks:
    """Blocks of `across` × `down` cells that are read at once on one level, one storage tile each where grids align."""

    grid: CellGrid
    level: Level
    across: int
    down: int

    @classmethod
    def of(cls, grid: CellGrid, level: Level) -> Blocks:
        """Return the blocks for a level: as many cells as one of its tiles holds."""
        across = round(min(level.tile_width, level.width) * level.downsample_x / grid.width)
        down = round(min(level.tile_height, level.height) * level.downsample_y / grid.height)
        # A tile as wide as the slide, as NDPI has, holds all cells, the cropped one at the edge included.
        across = grid.columns if level.tile_width >= level.width else max(1, across)
        down = grid.rows if level.tile_height >= level.height else max(1, down)
        return cls(grid, level, across, down)

    @property
    def columns(self) -> int:
        """Number of block columns."""
        return -(-self.grid.columns // self.across)

    @property
    def rows(self) -> int:
        """Number of block rows."""
        return -(-self.grid.rows // self.down)

    def cell_box(self, column: int, row: int) -> Box:
        """Return a cell in level pixels, at least one pixel of it, cropped to the level."""
        level, grid = self.level, self.grid
        left = min(round(column * grid.width / level.downsample_x), level.width - 1)
        top = min(round(row * grid.height / level.downsample_y), level.height - 1)
        right = min(max(left + 1, round((column + 1) * grid.width / level.downsample_x)), level.width)
        bottom = min(max(top + 1, round((row + 1) * grid.height / level.downsample_y)), level.height)
        return Box(left, top, right - left, bottom - top)

    def box(self, column: int, row: int) -> Box:
        """Return a block in level pixels."""
        first = self.cell_box(column * self.across, row * self.down)
        last = self.cell_box(
            min((column + 1) * self.across, self.grid.columns) - 1, min((row + 1) * self.down, self.grid.rows) - 1
        )
        return Box(first.x, first.y, last.x + last.width - first.x, last.y + last.height - first.y)
