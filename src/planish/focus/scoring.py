"""Scoring cell-planes of a slide: the only place where a sampler's wishes turn into decoded tiles."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from planish.errors import OptionError
from planish.focus.grid import Blocks, CellGrid
from planish.focus.options import SurveyOptions
from planish.focus.sampler import Cells
from planish.focus.scorers import Scorer, find_scorer, score
from planish.focus.sizes import NAME as ENCODED_SIZE
from planish.slide.base import Slide
from planish.threads import in_threads

DEFAULT_SCORER = "blur-difference"
DEFAULT_DOWNSAMPLE = 4.0
"""Scores at a quarter of full size agree better with the plane of least error than those at full size."""
Scored = tuple[Cells, NDArray[np.float32]]


@dataclass(frozen=True)
class Scoring:
    """How cells are scored.

    Attributes
    ----------
    slide : Slide
        The z-stack.
    level : int
        The level that is decoded.
    blocks : Blocks
        The cells of one of its storage tiles.
    shrink : float
        By how much its pixels are shrunk further, where the slide lacks the level wished for.
    scorer, step, subtiles
        See `planish.focus.scorers.score`.
    jobs : int
        Threads.
    """

    slide: Slide
    level: int
    blocks: Blocks
    shrink: float
    scorer: str
    step: int
    subtiles: int
    jobs: int

    def tiles_of(self, mask: NDArray[np.bool_]) -> int:
        """Return how many storage tiles of the level hold any cell of the mask, those of its blocks included."""
        blocks, level = self.blocks, self.blocks.level
        across = [_touched(blocks.box(column, 0)[0::2], level.tile_width) for column in range(blocks.columns)]
        down = [_touched(blocks.box(0, row)[1::2], level.tile_height) for row in range(blocks.rows)]
        rows, columns = np.nonzero(mask)
        held = np.unique(rows // blocks.down * blocks.columns + columns // blocks.across)
        return int((np.array(down)[held // blocks.columns] * np.array(across)[held % blocks.columns]).sum())

    def run(
        self, cells: Cells, mask: NDArray[np.bool_], report: Callable[[int, int], None] | None = None
    ) -> Iterator[Scored]:
        """Score cell-planes and, as they are decoded anyway, all specimen cells of their storage tiles.

        Parameters
        ----------
        cells : ndarray of int, (n, 3)
            Row, column and plane.
        mask : ndarray of bool, (rows, columns)
            Specimen cells.
        report : callable
            Called with tiles decoded and to decode.

        Yields
        ------
        cells, scores : ndarray
            (n, 3) and (n,), one row of storage tiles of one plane at a time, in no particular order.
        """
        tasks = self._tasks(cells)
        total, done = sum(len(columns) for _, _, columns in tasks), 0
        with in_threads(self._row, ((*task, mask) for task in tasks), self.jobs) as results:
            for tiles, found in results:
                done += tiles
                if report:
                    report(done, total)
                yield found

    def _tasks(self, cells: Cells) -> list[tuple[int, int, NDArray[np.intp]]]:
        """Return (plane, block row, block columns): whole rows of tiles, so that threads seldom meet the GIL."""
        blocks = self.blocks
        rows = cells[:, 2] * blocks.rows + cells[:, 0] // blocks.down
        # One number per block: unique rows of a matrix would take several times the memory.
        wanted = np.unique(rows * blocks.columns + cells[:, 1] // blocks.across)
        rows, columns = np.divmod(wanted, blocks.columns)
        starts = np.flatnonzero(np.diff(rows, prepend=-1))
        parts = np.split(columns, starts[1:])
        return [(*divmod(int(row), blocks.rows), part) for row, part in zip(rows[starts], parts, strict=True)]

    def _row(
        self, plane: int, block_row: int, columns: NDArray[np.intp], mask: NDArray[np.bool_]
    ) -> tuple[int, Scored]:
        cells, scores = [], []
        for block_column in columns:
            for cell, value in self._block(plane, int(block_column), block_row, mask):
                cells.append(cell)
                scores.append(value)
        return len(columns), (np.array(cells, np.intp).reshape(-1, 3), np.array(scores, np.float32))

    def _block(
        self, plane: int, block_column: int, block_row: int, mask: NDArray[np.bool_]
    ) -> Iterator[tuple[tuple[int, int, int], float]]:
        blocks = self.blocks
        origin = blocks.box(block_column, block_row)
        pixels = self.slide.read_region(self.level, plane, *origin)
        scorer = find_scorer(self.scorer)
        first_row, first_column = block_row * blocks.down, block_column * blocks.across
        if blocks.across == blocks.down == 1:
            yield (first_row, first_column, plane), self._score(pixels, scorer)
            return
        part = mask[first_row : first_row + blocks.down, first_column : first_column + blocks.across]
        for row, column in (np.argwhere(part) + np.array([first_row, first_column])).tolist():
            x, y, width, height = blocks.cell_box(column, row)
            cell = pixels[y - origin.y : y - origin.y + height, x - origin.x : x - origin.x + width]
            yield (row, column, plane), self._score(cell, scorer)

    def _score(self, pixels: NDArray[Any], scorer: Scorer) -> float:
        return score(self._shrunk(pixels), scorer, self.step, self.subtiles)

    def _shrunk(self, pixels: NDArray[Any]) -> NDArray[Any]:
        if self.shrink == 1:
            return pixels
        size = tuple(max(1, round(side / self.shrink)) for side in (pixels.shape[1], pixels.shape[0]))
        small: NDArray[Any] = cv2.resize(pixels.astype(np.float32), size, interpolation=cv2.INTER_AREA)
        return small.reshape(size[1], size[0], pixels.shape[2])


def _touched(span: tuple[int, ...], tile: int) -> int:
    """Return how many tiles (start, length) touches along one axis."""
    start, length = span
    return -(-(start + length) // tile) - start // tile


def make_scoring(slide: Slide, grid: CellGrid, options: SurveyOptions) -> Scoring:
    """Return how the cells of a slide are scored: the coarsest level that is fine enough, shrunk if need be.

    Raises
    ------
    OptionError
        Where the slide has no level of that number.
    """
    if options.score_level is not None:
        if options.score_level >= len(slide.levels):
            raise OptionError(
                f"{slide.name}: no level {options.score_level} to score; it has levels 0 to {len(slide.levels) - 1}"
            )
        level, shrink = options.score_level, 1.0
    else:
        wanted = options.score_downsample or DEFAULT_DOWNSAMPLE
        fine_enough = [i for i, size in enumerate(slide.levels) if size.downsample_x <= wanted * 1.05]
        level = fine_enough[-1]
        shrink = max(1.0, wanted / slide.levels[level].downsample_x)
        shrink = 1.0 if shrink < 1.05 else shrink
    scorer = DEFAULT_SCORER if options.scorer in ("auto", ENCODED_SIZE) else options.scorer
    blocks = Blocks.of(grid, slide.levels[level])
    return Scoring(slide, level, blocks, shrink, scorer, options.step, options.subtiles, options.jobs)
