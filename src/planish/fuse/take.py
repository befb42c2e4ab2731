"""`take_planes`: each pixel from the plane that a depth map made before names, so that channels can share one map."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from planish.errors import OptionError
from planish.fuse.fused import shared_encoding
from planish.fuse.planes import ArrayPlanes, Planes, SlidePlanes
from planish.model import Box, Encoding, Plane
from planish.slide.base import Slide

_BAND = 256
"""Rows that are taken at once."""


def take_planes(stack: Any, depth: ArrayLike) -> NDArray[Any]:
    """Take each pixel from the plane that a map names.

    Parameters
    ----------
    stack : array_like, (Z, Y, X) or (Z, Y, X, C)
        As for `planish.fuse.stack.fuse_stack`.
    depth : array_like, (Y, X)
        Planes, counted from 0; fractional ones are rounded to the nearest, halves to the even one.

    Returns
    -------
    ndarray, (Y, X) or (Y, X, C)
        As the stack, of its dtype. Beside it, two planes of 256 rows are held.

    Raises
    ------
    OptionError
        Where the map is not of the stack's size, or names a plane that is not there.

    Examples
    --------
    >>> stack = np.stack([np.zeros((2, 2), np.uint8), np.ones((2, 2), np.uint8)])
    >>> take_planes(stack, [[0, 1], [0.9, 0.2]])
    array([[0, 1],
           [1, 0]], dtype=uint8)
    """
    planes, named = ArrayPlanes(stack), np.asarray(depth)
    count, height, width, channels = planes.shape
    if named.shape != (height, width):
        raise OptionError(f"depth: of shape {named.shape}; the planes' is {(height, width)}")
    image = np.empty((height, width, channels), planes.dtype)
    for top in range(0, height, _BAND):
        rows = slice(top, min(top + _BAND, height))
        image[rows] = take_box(planes, plane_numbers(named[rows], count), Box(0, top, width, rows.stop - top))
    return image if planes.has_channels else image[..., 0]


def take_box(planes: Planes, numbers: NDArray[np.int16], box: Box) -> NDArray[Any]:
    """Take a box of pixels, (height, width, C); `numbers` are the planes of its pixels. Each plane is read once."""
    image = np.empty((box.height, box.width, planes.shape[3]), planes.dtype)
    for plane in planes_named(numbers):
        np.copyto(image, planes.read(plane, box), where=(numbers == plane)[..., None])
    return image


def planes_named(numbers: NDArray[np.int16]) -> list[int]:
    """Return the planes that occur among checked numbers, lowest first."""
    return [int(plane) for plane in np.flatnonzero(np.bincount(numbers.ravel()))]


def plane_numbers(depth: NDArray[Any], count: int, name: str = "depth") -> NDArray[np.int16]:
    """Return a map's values as numbers of planes.

    Raises
    ------
    OptionError
        Where one is no number, or none of the planes 0 to count - 1.
    """
    if depth.dtype.kind not in "uif":
        raise OptionError(f"{name}: holds {depth.dtype} values; needed are the numbers of planes")
    if depth.dtype.kind == "f":
        if not np.isfinite(depth).all():
            raise OptionError(f"{name}: holds NaN or infinite values; needed are planes 0 to {count - 1}")
        depth = np.rint(depth)
    if depth.size and not 0 <= depth.min() <= depth.max() < count:
        raise OptionError(f"{name}: names planes {depth.min():g} to {depth.max():g}; there are 0 to {count - 1}")
    return depth.astype(np.int16)


class TakenSlide(Slide):
    """A z-stack seen as one plane, each pixel from the plane that a depth map names: full size, nothing else.

    Parameters
    ----------
    slide : Slide
        The z-stack; stays open as long as this one is read, and is closed with it.
    depth : Slide
        The map: one plane and one channel of the z-stack's size, as `take_planes` has it; closed likewise.

    Attributes
    ----------
    used : tuple of int
        The planes that the map names; it was read through for them, so that a wrong one is told before any work.

    A tile holds at most two source tiles and the map's beside the result in memory.
    """

    def __init__(self, slide: Slide, depth: Slide) -> None:
        super().__init__(slide.source)
        self.stack, self.depth = slide, depth
        self._planes = SlidePlanes(slide)
        self.levels, self.planes = slide.levels[:1], (Plane(0),)
        self.dtype, self.channels = slide.dtype, slide.channels
        self.metadata = replace(slide.metadata, notes=())
        self.used = self._check_map()

    def _check_map(self) -> tuple[int, ...]:
        wanted, found = self.levels[0], self.depth.levels[0]
        if (found.width, found.height) != (wanted.width, wanted.height):
            raise OptionError(
                f"{self.depth.name}: is {found.width} × {found.height} px, the images are "
                f"{wanted.width} × {wanted.height} px; a depth map has their size"
            )
        planes, channels = len(self.depth.planes), len(self.depth.channels)
        if planes > 1 or channels > 1:
            raise OptionError(
                f"{self.depth.name}: a depth map has one plane and one channel; this has {planes} and {channels}"
            )
        tiles = (found.tile_box(column, row) for row in range(found.rows) for column in range(found.columns))
        return tuple(sorted({plane for box in tiles for plane in planes_named(self._numbers(box))}))

    def _numbers(self, box: Box) -> NDArray[np.int16]:
        depth = self.depth.read_region(0, 0, *box)[..., 0]
        return plane_numbers(depth, len(self.stack.planes), self.depth.name)

    def _decode_tile(self, level: int, plane: int, column: int, row: int) -> NDArray[Any]:
        box = self.levels[0].tile_box(column, row)
        return take_box(self._planes, self._numbers(box), box)

    def encoding(self, level: int, plane: int) -> Encoding | None:
        """Return the encoding that the planes share: see `shared_encoding`. No tile is handed out compressed."""
        return shared_encoding(self.stack, level)

    def close(self) -> None:
        """Close the z-stack and the map."""
        self.stack.close()
        self.depth.close()

    def __reduce__(self) -> tuple[Any, ...]:
        return TakenSlide, (self.stack, self.depth)
