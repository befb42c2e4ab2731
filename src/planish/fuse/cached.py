"""`CachedSlide`: a slide whose tiles are remembered for a while after they were decoded."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from planish.fuse.blocks import BlockCache
from planish.slide.base import Slide
from planish.slide.views import View


class CachedSlide(View):
    """A slide read through a cache of decoded tiles; threads that want one tile at once decode it once.

    Parameters
    ----------
    slide : Slide
        The slide behind.
    limit : int
        Bytes of tiles held.
    """

    def __init__(self, slide: Slide, limit: int) -> None:
        super().__init__(slide)
        self._tiles = BlockCache(limit)

    def _decode_tile(self, level: int, plane: int, column: int, row: int) -> NDArray[Any]:
        return self._tiles.get((level, plane, column, row), lambda: self._slide.read_tile(level, plane, column, row))
