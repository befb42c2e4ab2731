"""`FusedSlide`: a z-stacked slide seen as one sharp plane, every pixel of it fused."""

from __future__ import annotations

import threading
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

from numpy.typing import NDArray

from planish.fuse.backend import choose_backend
from planish.fuse.blocks import BlockCache
from planish.fuse.method import Method
from planish.fuse.planes import SlidePlanes
from planish.fuse.tiles import fuse_box
from planish.model import Box, Encoding, Plane
from planish.slide.base import Slide

_BLOCK = 1024
"""Least width and greatest height of what is fused at once, in pixels: margins cost less than with single tiles."""
_ROW_BYTES = 96 << 20
"""Of a row of blocks at most, where the slide is not so wide that a single row of tiles is more."""


class FusedSlide(Slide):
    """The flat slide of a fusion method. Each level is fused from the planes' own pixels of that level.

    Parameters
    ----------
    slide : Slide
        The z-stack; stays open as long as this one is read, and is closed with it.
    method : Method
        What to fuse with.
    backend : str
        See `planish.fuse.backend.choose_backend`.

    Memory: two rows of blocks, each at most 96 MiB or one row of tiles, and per thread one block with its margin in
    `Method.float_planes` float images.
    """

    def __init__(self, slide: Slide, method: Method, backend: str = "auto") -> None:
        super().__init__(slide.source)
        self.stack, self.method, self._backend_name = slide, method, backend
        self._backend = choose_backend(backend)
        self.levels, self.planes = slide.levels, (Plane(0),)
        self.dtype, self.channels = slide.dtype, slide.channels
        self.associated = slide.associated
        self.metadata = replace(slide.metadata, notes=())
        method.check(SlidePlanes(slide))
        self._prepared: dict[int, Method] = {}
        self._preparing = threading.Lock()
        # A GPU takes one block at a time: each thread's would need its share of the card's memory.
        self._turnstile = threading.Lock() if self._backend.name == "cupy" else nullcontext()
        row = max(_ROW_BYTES, slide.levels[0].width * slide.levels[0].tile_height * self._pixel_bytes)
        self._blocks = BlockCache(2 * row)

    @property
    def _pixel_bytes(self) -> int:
        return len(self.channels) * self.dtype.itemsize

    def _decode_tile(self, level: int, plane: int, column: int, row: int) -> NDArray[Any]:
        size = self.levels[level]
        across, down = self._block_tiles(level)
        left, top = column // across * across * size.tile_width, row // down * down * size.tile_height
        width = min(across * size.tile_width, size.width - left)
        height = min(down * size.tile_height, size.height - top)
        key = (level, left, top)
        block = self._blocks.get(key, lambda: self._fuse(level, Box(left, top, width, height)))
        box = size.tile_box(column, row)
        return block[box.y - top : box.y - top + box.height, box.x - left : box.x - left + box.width]

    def _block_tiles(self, level: int) -> tuple[int, int]:
        """Return columns and rows of tiles in a block."""
        size = self.levels[level]
        row_bytes = size.width * size.tile_height * self._pixel_bytes
        high = min(_BLOCK // size.tile_height, _ROW_BYTES // row_bytes)
        return max(1, _BLOCK // size.tile_width), max(1, high)

    def _fuse(self, level: int, box: Box) -> NDArray[Any]:
        planes = SlidePlanes(self.stack, level)
        with self._preparing:
            if level not in self._prepared:
                size = self.levels[level]
                method = self.method.at(size.downsample_x, size.downsample_y)
                self._prepared[level] = method.prepare(planes, self._backend)
        with self._turnstile:
            image: NDArray[Any] = fuse_box(planes, self._prepared[level], box, self._backend).image
        return image

    def encoding(self, level: int, plane: int) -> Encoding | None:
        """Return the encoding that the planes share: see `shared_encoding`. No tile is handed out compressed."""
        return shared_encoding(self.stack, level)

    def close(self) -> None:
        """Close the z-stack."""
        self.stack.close()

    def __reduce__(self) -> tuple[Any, ...]:
        return FusedSlide, (self.stack, self.method, self._backend_name)


def shared_encoding(slide: Slide, level: int) -> Encoding | None:
    """Return the encoding that all planes share; where only their JPEG tables differ, the finest of them.

    None where copied tiles of several planes could not stand in one image.
    """
    encodings = [slide.encoding(level, source.index) for source in slide.planes]
    known = [encoding for encoding in encodings if encoding is not None]
    if len(known) < len(encodings) or not all(encoding.alike(known[0]) for encoding in known):
        return None
    return min(known, key=lambda encoding: sum(map(sum, encoding.tables)))
