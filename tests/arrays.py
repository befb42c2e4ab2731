"""`ArraySlide`: a slide over a NumPy array, for tests."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from planish.model import Level, Plane, SlideMetadata
from planish.planemap import PlaneMap
from planish.slide.base import Slide


class ArraySlide(Slide):
    """A slide whose pixels stand in memory, (Z, height, width, channels); one level.

    Parameters
    ----------
    stack : ndarray
        Lowest plane first.
    tile : int
        Edge of its tiles.
    z_um : sequence of float, optional
        z of each plane; none known where it is left out.
    mpp : float
        µm per pixel.
    """

    def __init__(
        self, stack: NDArray[Any], tile: int = 256, z_um: Sequence[float] | None = None, mpp: float = 0.25
    ) -> None:
        super().__init__(Path("array"))
        planes, height, width, channels = stack.shape
        self.stack = stack
        self.levels = (Level(width, height, tile, tile),)
        self.planes = tuple(Plane(index, None if z_um is None else z_um[index]) for index in range(planes))
        self.dtype = stack.dtype
        self.channels = ("R", "G", "B") if channels == 3 else tuple(str(index) for index in range(channels))
        self.metadata = SlideMetadata("array", mpp_x=mpp, mpp_y=mpp, objective_power=40.0)

    def _decode_tile(self, level: int, plane: int, column: int, row: int) -> NDArray[Any]:
        x, y, width, height = self.levels[level].tile_box(column, row)
        pixels: NDArray[Any] = self.stack[plane, y : y + height, x : x + width]
        return pixels

    def __reduce__(self) -> tuple[Any, ...]:
        z_um = [plane.z_um for plane in self.planes]
        tile, mpp = self.levels[0].tile_width, self.metadata.mpp_x
        return type(self), (self.stack, tile, None if None in z_um else z_um, mpp)


def map_of(planes: NDArray[Any], count: int, **options: Any) -> PlaneMap:
    """Return a plane map with cells of 256 px in which every cell was scored."""
    shape = planes.shape
    unknown = np.full(shape, np.nan, np.float32)
    made = {
        "plane": planes.astype(np.int16),
        "margin": unknown,
        "how": np.zeros(shape, np.uint8),
        "sharpness": unknown,
        "cell_width": 256,
        "cell_height": 256,
        "width": shape[1] * 256,
        "height": shape[0] * 256,
        "z_um": (None,) * count,
    }
    return PlaneMap(**made | options)
