"""Where the specimen is: cells whose coarse picture holds any structure."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from planish.focus.grid import Blocks, CellGrid
from planish.focus.measures import luma
from planish.slide.base import Slide

PIXELS_PER_CELL = 16
"""Side of a cell in the overview: sensor noise averages out, a piece of a nucleus still covers a pixel."""
LEAST, MOST = 2.0, 6.0
"""Bounds of the threshold in 1/255 of the range of grey levels: below is JPEG's ripple, above is surely structure."""


def mask_level(slide: Slide, grid: CellGrid) -> int:
    """Return the coarsest level that still shows a cell with `PIXELS_PER_CELL` pixels."""
    fine_enough = [
        index
        for index, level in enumerate(slide.levels)
        if min(grid.width / level.downsample_x, grid.height / level.downsample_y) >= PIXELS_PER_CELL
    ]
    return max(fine_enough, default=0)


def row_extremes(slide: Slide, level: int, plane: int, row: int) -> NDArray[np.float32]:
    """Return the darkest and brightest overview pixel of each cell of one row of blocks, (2, rows, columns)."""
    blocks = Blocks.of(CellGrid.of(slide), slide.levels[level])
    grid = blocks.grid
    first, last = blocks.box(0, row), blocks.box(blocks.columns - 1, row)
    band = luma(slide.read_region(level, plane, 0, first.y, last.x + last.width, first.height))
    down = min(blocks.down, grid.rows - row * blocks.down)
    # Cells at the right and lower edge are cropped: fill them up, so that every cell is shrunk alike.
    full_width = round(grid.columns * grid.width / blocks.level.downsample_x)
    full_height = round(down * grid.height / blocks.level.downsample_y)
    missing = (max(0, full_height - band.shape[0]), max(0, full_width - band.shape[1]))
    band = np.pad(band, ((0, missing[0]), (0, missing[1])), mode="edge")
    size = (grid.columns * PIXELS_PER_CELL, down * PIXELS_PER_CELL)
    small = cv2.resize(band, size, interpolation=cv2.INTER_AREA)
    cells = small.reshape(down, PIXELS_PER_CELL, grid.columns, PIXELS_PER_CELL)
    return np.stack([cells.min(axis=(1, 3)), cells.max(axis=(1, 3))])


def specimen_mask(extremes: NDArray[np.float32], dtype: np.dtype[Any]) -> NDArray[np.bool_]:
    """Tell specimen from glass.

    Parameters
    ----------
    extremes : ndarray of float32, (2, rows, columns)
        Darkest and brightest overview pixel of each cell, in grey levels.
    dtype : numpy.dtype
        Of the slide: 8-bit grey levels count as they are, other ranges as the slide uses them.

    Returns
    -------
    ndarray of bool, (rows, columns)
        True where a cell's range exceeds f0 + 8 MAD of the quietest quarter of the cells, held between `LEAST` and
        `MOST`: where there is no glass, the quietest quarter is specimen, too. Single cells are kept as they are.
    """
    low, high = extremes
    scale = 1.0 if dtype == np.uint8 else float(high.max() - low.min()) / 255 or 1.0
    structure = (high - low) / scale
    quiet = np.sort(structure, axis=None)[: max(1, structure.size // 4)]
    floor = float(np.median(quiet))
    deviation = 1.4826 * float(np.median(np.abs(quiet - floor)))
    found: NDArray[np.bool_] = structure > np.clip(floor + 8 * deviation, LEAST, MOST)
    return found
