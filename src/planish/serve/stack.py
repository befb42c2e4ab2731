"""`Stack`: a z-stack whose decoded tiles are kept a moment, while neighbours and other planes ask for them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from planish.fuse.cached import CachedSlide
from planish.model import EncodedTile, Encoding

DECODED_BYTES = 24 << 20
"""Of decoded tiles held for each open slide."""


class Stack(CachedSlide):
    """A slide read through a cache of decoded tiles; compressed ones come from the slide itself."""

    def encoding(self, level: int, plane: int) -> Encoding | None:
        """Return what the slide behind says."""
        return self._slide.encoding(level, plane)

    def encoded_tile(self, level: int, plane: int, column: int, row: int) -> EncodedTile | None:
        """Return what the slide behind holds."""
        return self._slide.encoded_tile(level, plane, column, row)

    def encoded_row(self, level: int, row: int, planes: NDArray[np.int16]) -> list[EncodedTile | None]:
        """Return what the slide behind holds."""
        return self._slide.encoded_row(level, row, planes)

    def encoded_sizes(self, level: int) -> NDArray[np.int64] | None:
        """Return what the slide behind knows."""
        return self._slide.encoded_sizes(level)

    def sizes_refusal(self, level: int) -> str | None:
        """Return what the slide behind says."""
        return self._slide.sizes_refusal(level)

    def __reduce__(self) -> tuple[Any, ...]:
        return Stack, (self._slide, DECODED_BYTES)
