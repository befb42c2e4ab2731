"""Choosing planes by the scanner's own byte counts: a sharper tile takes more bytes, and no pixel is touched."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from planish.focus import profile
from planish.focus.grid import CellGrid
from planish.focus.sampler import Sampler
from planish.planemap import How
from planish.slide.base import Slide

NAME = "encoded-size"
"""Of the scorer."""
TIE, SMALL_TIE = 0.045, 0.08
"""Planes within this share of the largest byte count are a near tie; the second for tiles below `SMALL_TILE`.

With 0.04, sparse cytology agreed with scoring everything on 98.9 % of its cells; with 0.05, dense cytology of 9 planes
decoded 21 % of its tile-planes.
"""
SMALL_TILE = 128
ENOUGH_GLASS, GLASS_SHARE = 16, 0.01
"""Cells of glass, and their share of all cells, from which on their median byte count tells what a plane's own noise
takes. Fewer are as likely to be quiet specimen, whose bytes follow the focus."""


def cell_sizes(slide: Slide, grid: CellGrid) -> NDArray[np.float32] | str:
    """Return the bytes of each cell and plane, (rows, columns, planes), or why there are none that compare."""
    full = slide.levels[0]
    if refusal := slide.sizes_refusal(0):
        return refusal
    if grid.width % full.tile_width or grid.height % full.tile_height:
        return (
            f"tiles of {full.tile_width} × {full.tile_height} px do not make up cells of {grid.width} × {grid.height}"
        )
    sizes = slide.encoded_sizes(0)
    if sizes is None:
        return "the reader knows no byte counts"
    across, down = grid.width // full.tile_width, grid.height // full.tile_height
    summed = np.add.reduceat(sizes, np.arange(0, sizes.shape[1], down), axis=1)
    summed = np.add.reduceat(summed, np.arange(0, sizes.shape[2], across), axis=2)
    return np.ascontiguousarray(np.moveaxis(summed, 0, 2), np.float32)


def level_floors(sizes: NDArray[np.float32], glass: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Take off what a plane's own gain and noise add, as glass shows it.

    Parameters
    ----------
    sizes : ndarray of float32, (rows, columns, planes)
        Bytes.
    glass : ndarray of bool, (rows, columns)
        Cells without specimen.

    Returns
    -------
    ndarray of float32
        `sizes` less how far the median glass of each plane lies above that of all planes: subtracted, as noise adds
        bytes; never divided. Without enough glass, `sizes` as they are.
    """
    if glass.sum() < max(ENOUGH_GLASS, GLASS_SHARE * glass.size):
        return sizes
    floors = np.median(sizes[glass], axis=0)
    return np.asarray(sizes - (floors - floors.mean()), np.float32)


class SizeSampler(Sampler):
    """Decides by bytes; asks for the scores of near ties only.

    Parameters
    ----------
    mask : ndarray of bool, (rows, columns)
        Specimen.
    sizes : ndarray of float32, (rows, columns, planes)
        Bytes, floors levelled.
    tie : float
        Planes with at least (1 − tie) of a cell's largest byte count are scored, and the sharpest wins; 0 for bytes
        alone.

    Attributes
    ----------
    tied : int
        Cells with a near tie.
    """

    def __init__(self, mask: NDArray[np.bool_], sizes: NDArray[np.float32], tie: float) -> None:
        super().__init__(mask, sizes.shape[2])
        self._sizes = sizes
        near = sizes >= (1 - tie) * sizes.max(axis=2, keepdims=True)
        several = mask & (near.sum(axis=2) > 1) & (tie > 0)
        self.tied = int(several.sum())
        self._wanted[several] = near[several]

    def _extend(self) -> bool:
        return False

    @property
    def plane(self) -> NDArray[np.int16]:
        """(rows, columns): the sharpest of a near tie, else the plane of most bytes; of equal ones the lowest."""
        by_bytes = np.argmax(self._sizes, axis=2)
        # Scores that came along with a shared storage tile are no candidates.
        candidates = np.where(self._wanted, self.scores, np.nan)
        scored = ~np.isnan(candidates).all(axis=2)
        return np.where(scored, profile.best_plane(candidates), by_bytes).astype(np.int16)

    @property
    def how(self) -> NDArray[np.uint8]:
        """(rows, columns): values of `How`."""
        how = np.where(self._wanted.any(axis=2), How.SAMPLED, How.BYTES)
        return np.where(self.mask, how, How.GLASS).astype(np.uint8)

    @property
    def margin(self) -> NDArray[np.float32]:
        """(rows, columns): (most − second most) / most bytes."""
        return profile.margin(self._sizes)

    @property
    def sharpness(self) -> NDArray[np.float32]:
        """(rows, columns): bytes of the chosen plane."""
        return profile.score_at(self._sizes, self.plane)
