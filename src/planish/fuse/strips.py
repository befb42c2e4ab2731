"""`strips`: pieces of an image that stay in the processor's cache while several operations pass over them."""

from __future__ import annotations

from collections.abc import Iterator

_STRIP = 1 << 16
"""Pixels of a strip: a handful of float64 temporaries of it fit a core's own cache."""


def strips(height: int, width: int) -> Iterator[tuple[int, int]]:
    """Yield (first row, one after the last) of pieces that stay in the cache."""
    rows = max(8, _STRIP // width)
    return ((top, min(top + rows, height)) for top in range(0, height, rows))
