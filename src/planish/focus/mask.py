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
FINER = 4
"""How much finer than the overview the level should be where noise is to be told from structure."""
LEAST, MOST = 2.0, 6.0
"""Bounds of the threshold in 1/255 of the range of grey levels: below is JPEG's ripple, above is surely structure."""
FEW, SHARE = 4, 0.05
"""Cells, and share of all cells, whose extremes may be beads or dirt and do not set the range of grey levels."""
NOISE_RANGE = 10.0
"""Standard deviations of white noise that no cell's overview pixels span: 5.6 ± 0.6 is usual."""
ROUNDING = 1e-5
"""Share of the brightest grey level that averaging in float32 may add or take."""


def mask_level(slide: Slide, grid: CellGrid) -> int:
    """Return the coarsest level that still shows a cell with `PIXELS_PER_CELL` pixels.

    Beyond 8 bit the level is `FINER`, where there is such a one: noise shows only before pixels are averaged.
    """
    side = PIXELS_PER_CELL * (1 if slide.dtype == np.uint8 else FINER)
    fine_enough = [
        index
        for index, level in enumerate(slide.levels)
        if min(grid.width / level.downsample_x, grid.height / level.downsample_y) >= side
    ]
    return max(fine_enough, default=0)


def row_extremes(slide: Slide, level: int, plane: int, row: int) -> NDArray[np.float32]:
    """Look at the cells of one row of blocks.

    Returns
    -------
    ndarray of float32, (3, rows, columns)
        Of each cell the darkest and the brightest overview pixel, and the standard deviation that pixel noise, were it
        white, would have left in the overview; in grey levels.
    """
    blocks = Blocks.of(CellGrid.of(slide), slide.levels[level])
    grid = blocks.grid
    first, last = blocks.box(0, row), blocks.box(blocks.columns - 1, row)
    band = luma(slide.read_region(level, plane, 0, first.y, last.x + last.width, first.height))
    noise = _noise(band)
    down = min(blocks.down, grid.rows - row * blocks.down)
    # Cells at the right and lower edge are cropped: fill them up, so that every cell is shrunk alike.
    full_width = round(grid.columns * grid.width / blocks.level.downsample_x)
    full_height = round(down * grid.height / blocks.level.downsample_y)
    missing = (max(0, full_height - band.shape[0]), max(0, full_width - band.shape[1]))
    band, noise = (np.pad(each, ((0, missing[0]), (0, missing[1])), mode="edge") for each in (band, noise))
    size = (grid.columns * PIXELS_PER_CELL, down * PIXELS_PER_CELL)
    small = cv2.resize(band, size, interpolation=cv2.INTER_AREA)
    cells = small.reshape(down, PIXELS_PER_CELL, grid.columns, PIXELS_PER_CELL)
    averaged = max(1.0, band.size / small.size)
    deviation = cv2.resize(noise, (grid.columns, down), interpolation=cv2.INTER_AREA) / averaged**0.5
    return np.stack([cells.min(axis=(1, 3)), cells.max(axis=(1, 3)), deviation])


def _noise(band: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return what averages to the standard deviation of white noise (Immerkær 1996); edges and lines leave little."""
    second = np.array([1, -2, 1], np.float32)
    response = cv2.sepFilter2D(band, cv2.CV_32F, second, second)
    return np.asarray(np.abs(response) * np.float32((np.pi / 2) ** 0.5 / 6), np.float32)


def specimen_mask(looks: NDArray[np.float32], dtype: np.dtype[Any]) -> NDArray[np.bool_]:
    """Tell specimen from glass.

    Parameters
    ----------
    looks : ndarray of float32, (3, rows, columns)
        Of `row_extremes`.
    dtype : numpy.dtype
        Of the slide: 8-bit grey levels count as they are, other ranges as the slide uses them.

    Returns
    -------
    ndarray of bool, (rows, columns)
        True where a cell's range exceeds f0 + 8 MAD of the quietest quarter of the cells, held between `LEAST` and
        `MOST`: where there is no glass, the quietest quarter is specimen, too. Beyond 8 bit both bounds are at
        least what the noise of that quarter may span. Single cells are kept as they are.
    """
    low, high, noise = looks
    structure = high - low
    order = np.argsort(structure, axis=None)[: max(1, structure.size // 4)]
    quiet = structure.flat[order]
    floor = float(np.median(quiet))
    deviation = 1.4826 * float(np.median(np.abs(quiet - floor)))
    least, most = LEAST, MOST
    if dtype != np.uint8:
        scale = _range(low, high) / 255
        least = max(scale * LEAST, NOISE_RANGE * float(np.median(noise.flat[order])))
        most = max(scale * MOST, least)
    threshold = np.clip(floor + 8 * deviation, least, most)
    found: NDArray[np.bool_] = structure > np.maximum(threshold, ROUNDING * np.abs(high))
    return found


def _range(low: NDArray[np.float32], high: NDArray[np.float32]) -> float:
    """Return the range of grey levels, without the few cells that are darkest or brightest of all."""
    few = min(max(FEW, int(SHARE * low.size)), low.size // 4)
    return float(np.sort(high, axis=None)[-1 - few] - np.sort(low, axis=None)[few])
