"""`Stored`: a volume as it goes into a file, by slabs of planes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

SLAB = 10
"""Planes that are held at a time."""


class Stored:
    """Anything (Z, Y, X) that slices like an array, in the machine's own numbers; bool becomes uint8."""

    def __init__(self, volume: Any) -> None:
        self._volume = volume
        depth, height, width = volume.shape
        self.shape: tuple[int, int, int] = (int(depth), int(height), int(width))
        kind = np.dtype(volume.dtype)
        self.dtype: np.dtype[Any] = np.dtype(np.uint8) if kind == np.bool_ else kind.newbyteorder("=")

    def __getitem__(self, planes: slice) -> NDArray[Any]:
        return np.ascontiguousarray(self._volume[planes], self.dtype)

    def slabs(self) -> Iterator[NDArray[Any]]:
        """Yield all planes, `SLAB` at a time."""
        for z in range(0, self.shape[0], SLAB):
            yield self[z : z + SLAB]
