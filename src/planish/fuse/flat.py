"""`FlatSlide`: a z-stacked slide seen as one sharp plane. Pixels are touched only when a tile is asked for."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from planish.fuse.backend import choose_backend
from planish.fuse.blocks import BlockCache
from planish.fuse.cells import CellComposer
from planish.fuse.decide import decide
from planish.fuse.fused import FusedSlide, shared_encoding
from planish.fuse.options import FuseOptions
from planish.fuse.plan import Plan
from planish.fuse.prior import Prior
from planish.model import Box, EncodedTile, Encoding, Plane
from planish.planemap import PlaneMap
from planish.slide.base import Slide

_CELL_BYTES = 24 << 20


class FlatSlide(Slide):
    """The flat slide: each cell of the decision grid from its sharpest plane, or composed where that is not enough.

    Parameters
    ----------
    slide : Slide
        The z-stack; stays open as long as the flat slide is read, and is closed with it.
    focus : PlaneMap
        Which plane is sharp where.
    options : FuseOptions
        How to compose.

    Memory: a decoded source tile beside the result; composed cells as `planish.fuse.cells.CellComposer` says, and
    24 MiB of those composed last.
    """

    def __init__(self, slide: Slide, focus: PlaneMap, options: FuseOptions | None = None) -> None:
        super().__init__(slide.source)
        self.options = options or FuseOptions()
        self.stack, self.focus = slide, decide(slide, focus, self.options)
        self._plan = Plan.of(self.focus, self.focus.recipe)
        self._choices: dict[int, NDArray[np.int16]] = {}
        self._cells = BlockCache(_CELL_BYTES)
        method = self.options.seam_method()
        if method and self._plan.recipe:
            self._composer = CellComposer(slide, self._plan, method, choose_backend(self.options.backend))
        self.levels, self.planes = slide.levels, (Plane(0),)
        self.dtype, self.channels = slide.dtype, slide.channels
        self.associated = slide.associated
        self.metadata = replace(slide.metadata, notes=())

    def _decode_tile(self, level: int, plane: int, column: int, row: int) -> NDArray[Any]:
        box = self.levels[level].tile_box(column, row)
        pieces = list(self._plan.pieces(self.levels[level], box))
        wanted = dict.fromkeys(piece.plane for piece in pieces if not piece.composed)
        if len(wanted) == 1 and not any(piece.composed for piece in pieces):
            return self.stack.read_tile(level, pieces[0].plane, column, row)
        flat = np.empty((box.height, box.width, len(self.channels)), self.dtype)
        for source_plane in wanted:
            tile = self.stack.read_tile(level, source_plane, column, row)
            for piece in pieces:
                if piece.plane == source_plane and not piece.composed:
                    flat[_inside(piece.box, box)] = tile[_inside(piece.box, box)]
        for piece in pieces:
            if piece.composed:
                cell = self._plan.cell_box(self.levels[level], piece.column, piece.row)
                flat[_inside(piece.box, box)] = self._cell(level, piece.row, piece.column)[_inside(piece.box, cell)]
        return flat

    def _cell(self, level: int, row: int, column: int) -> NDArray[Any]:
        return self._cells.get((level, row, column), lambda: self._composer.image(level, row, column))

    def encoding(self, level: int, plane: int) -> Encoding | None:
        """Return the encoding that the planes share: see `shared_encoding`."""
        return shared_encoding(self.stack, level)

    def encoded_tile(self, level: int, plane: int, column: int, row: int) -> EncodedTile | None:
        """Return the source's own tile where all cells under it want one plane."""
        self._check(level, plane)
        wanted = int(self._uniform(level)[row, column])
        return self.stack.encoded_tile(level, wanted, column, row) if wanted >= 0 else None

    def encoded_row(self, level: int, row: int, planes: NDArray[np.int16]) -> list[EncodedTile | None]:
        """Return a row of the source's own tiles, None where a tile has to be composed, or -1 was asked for."""
        return self.stack.encoded_row(level, row, np.where(planes < 0, planes, self._uniform(level)[row]))

    def _uniform(self, level: int) -> NDArray[np.int16]:
        """Return the plane of each tile of a level, -1 where its cells disagree or planes are compressed unlike."""
        if level not in self._choices:
            uniform = self._plan.uniform(self.levels[level])
            self._choices[level] = uniform if self.encoding(level, 0) else np.full_like(uniform, -1)
        return self._choices[level]

    def close(self) -> None:
        """Close the z-stack."""
        self.stack.close()

    def __reduce__(self) -> tuple[Any, ...]:
        return FlatSlide, (self.stack, self.focus, self.options)


def _inside(piece: Box, frame: Box) -> tuple[slice, slice]:
    """Return where a box lies in the array of another one."""
    top, left = piece.y - frame.y, piece.x - frame.x
    return slice(top, top + piece.height), slice(left, left + piece.width)


def flatten(slide: Slide, focus: PlaneMap, options: FuseOptions | None = None) -> Slide:
    """Compose the flat slide, a slide of one plane: a `FlatSlide`, or a `FusedSlide` where pixels are fused.

    Parameters
    ----------
    slide : Slide
        The z-stack; stays open as long as the flat slide is read, and is closed with it.
    focus : PlaneMap
        Which plane is sharp where. Methods that fuse pixels look at it only as their prior.
    options : FuseOptions
        How to compose.

    Raises
    ------
    OptionError
        Where the map does not fit the slide, or the method's options do not.
    """
    options = options or FuseOptions()
    method = options.pixel_method(Prior(focus.plane, focus.cell_width, focus.cell_height))
    if method is None:
        return FlatSlide(slide, focus, options)
    focus.check_fits(slide)
    return FusedSlide(slide, method, options.backend)
