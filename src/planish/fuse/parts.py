"""`PartScores`: the sharpness of the parts of cells on every plane, and what fusing would change in each cell."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from planish.errors import TileError
from planish.focus.grid import Blocks, CellGrid
from planish.focus.measures import luma
from planish.fuse.host import HostBackend
from planish.fuse.method import Window
from planish.fuse.planes import ArrayPlanes
from planish.fuse.soft import Soft
from planish.model import Box
from planish.planemap import PlaneMap
from planish.slide.base import Slide

PARTS = 4
"""Parts of a cell along each side."""
DOWNSAMPLE = 4.0
"""Level-0 pixels per pixel that is scored: there, scores agree best with the plane of least error."""
FUSED = Soft(sigma=2.0, fine_sigma=0.5)
"""What cells are compared with, on the scored level."""


class Cell(NamedTuple):
    """What is known of a cell on the scored level.

    Attributes
    ----------
    row, column : int
        Its place in the cell grid.
    scores : ndarray of float32, (planes, PARTS, PARTS)
        Sharpness of its parts, in grey levels of 255.
    change : ndarray of float32, (planes,)
        Mean squared difference between a plane and the fused picture, in (grey levels of 255)².
    """

    row: int
    column: int
    scores: NDArray[np.float32]
    change: NDArray[np.float32]


@dataclass(frozen=True)
class PartScores:
    """Scores of the parts of cells, one storage tile of a level at a time."""

    slide: Slide
    specimen: NDArray[np.bool_]
    level: int
    blocks: Blocks
    shrink: int

    @classmethod
    def of(cls, slide: Slide, focus: PlaneMap) -> PartScores:
        """Take the coarsest level that is fine enough."""
        level = max(i for i, size in enumerate(slide.levels) if size.downsample_x <= DOWNSAMPLE * 1.05)
        grid = CellGrid(focus.cell_width, focus.cell_height, focus.columns, focus.rows)
        shrink = max(1, round(DOWNSAMPLE / slide.levels[level].downsample_x))
        return cls(slide, focus.specimen, level, Blocks.of(grid, slide.levels[level]), shrink)

    def block_of(self, rows: NDArray[np.intp], columns: NDArray[np.intp]) -> NDArray[np.intp]:
        """Return the numbers of the blocks that hold cells."""
        return rows // self.blocks.down * self.blocks.columns + columns // self.blocks.across

    def row(self, numbers: NDArray[np.intp], known: Mapping[int, list[Cell]]) -> list[Cell]:
        """Return the cells of a row of blocks, some of them known already."""
        return [cell for number in numbers.tolist() for cell in known.get(number) or self.block(number)]

    def block(self, number: int) -> Iterator[Cell]:
        """Yield row, column and scores, (planes, PARTS, PARTS), of the specimen cells of a block."""
        block_row, block_column = divmod(number, self.blocks.columns)
        box = self.blocks.box(block_column, block_row)
        unit = np.float32(255 / np.iinfo(self.slide.dtype).max)
        greys = [_shrunk(luma(self._read(plane, box)), self.shrink) * unit for plane in range(len(self.slide.planes))]
        detail = np.stack([cv2.absdiff(cv2.blur(grey, (5, 5)), grey) for grey in greys])
        change = np.square(np.stack(greys) - _fused(greys))
        rows = slice(block_row * self.blocks.down, (block_row + 1) * self.blocks.down)
        columns = slice(block_column * self.blocks.across, (block_column + 1) * self.blocks.across)
        origin = np.array([rows.start, columns.start])
        for row, column in (np.argwhere(self.specimen[rows, columns]) + origin).tolist():
            x, y, width, height = self.blocks.cell_box(column, row)
            down = _borders(y - box.y, height, self.shrink, detail.shape[1])
            across = _borders(x - box.x, width, self.shrink, detail.shape[2])
            inside = (slice(None), _pixels(down, detail.shape[1]), _pixels(across, detail.shape[2]))
            yield Cell(row, column, _means(detail, down, across, inside), change[inside].mean(axis=(1, 2)))

    def _read(self, plane: int, box: Box) -> NDArray[Any]:
        try:
            return self.slide.read_region(self.level, plane, *box)
        except TileError as error:
            raise TileError(
                f"{error}; plane {plane} of level {self.level}: hybrid looks at all planes, --fuse select only at "
                "those it takes"
            ) from error


def _fused(greys: list[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Return what fusing all planes makes of a block, (height, width)."""
    planes = ArrayPlanes([grey[..., None] for grey in greys])
    height, width = greys[0].shape
    image: NDArray[np.float32] = FUSED.fuse(Window(planes, Box(0, 0, width, height), HostBackend())).image[..., 0]
    return image


def _borders(start: int, length: int, shrink: int, limit: int) -> NDArray[np.intp]:
    """Return the first pixel of each part along one axis, and the end."""
    borders = np.linspace(start / shrink, (start + length) / shrink, PARTS + 1).round().astype(np.intp)
    return np.clip(borders, 0, limit)


def _pixels(borders: NDArray[np.intp], limit: int) -> slice:
    """Return the pixels of a cell along one axis, one at least: its only one may have been shrunk away."""
    first = min(int(borders[0]), limit - 1)
    return slice(first, max(int(borders[-1]), first + 1))


def _means(
    detail: NDArray[Any], down: NDArray[np.intp], across: NDArray[np.intp], inside: tuple[slice, ...]
) -> NDArray[np.float32]:
    """Return the mean detail of each part, (planes, PARTS, PARTS); the cell's where it has fewer pixels than parts."""
    heights, widths = np.diff(down), np.diff(across)
    means, cell = np.empty((len(detail), PARTS, PARTS), np.float32), detail[inside]
    if heights.min() > 0 and widths.min() > 0:
        sums = np.add.reduceat(np.add.reduceat(cell, down[:-1] - down[0], axis=1), across[:-1] - across[0], axis=2)
        means[:] = sums / (heights[:, None] * widths)
    else:
        means[:] = cell.mean(axis=(1, 2))[:, None, None]
    return means


def _shrunk(grey: NDArray[np.float32], factor: int) -> NDArray[np.float32]:
    if factor == 1:
        return grey
    size = max(1, grey.shape[1] // factor), max(1, grey.shape[0] // factor)
    return np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_AREA), np.float32)
