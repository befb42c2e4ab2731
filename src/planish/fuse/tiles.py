"""`fuse_box`: any part of a fused image, tile by tile with margins that leave no trace."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from planish.errors import OptionError
from planish.fuse.backend import Backend
from planish.fuse.checks import whole
from planish.fuse.method import Fused, Method, Window
from planish.fuse.planes import Planes
from planish.model import Box

LARGEST = 4096
"""Widest and highest tile chosen by itself, in pixels; it bounds the memory."""


@dataclass(frozen=True, slots=True)
class Tiling:
    """How an image is cut into tiles.

    Attributes
    ----------
    size : int, tuple of int, or None
        (width, height) of a tile without its margin, in pixels; None chooses: as wide as the image, at most 4096, and
        high enough that the margins cost little.
    overlap : int or None
        Margin read around a tile, in pixels; None for the method's own. Less than that would show seams, and is
        refused.
    """

    size: int | tuple[int, int] | None = None
    overlap: int | None = None

    def __post_init__(self) -> None:
        if self.size is not None:
            sides = self.size if isinstance(self.size, tuple | list) else (self.size, self.size)
            if len(sides) != 2:
                raise OptionError(f"tile_size={self.size!r}: needs one whole number of pixels, or two: (width, height)")
            for side in sides:
                whole("tile_size", side, 1)
        if self.overlap is not None:
            whole("overlap", self.overlap, 0)

    def margin(self, method: Method) -> int:
        """Return the margin to read.

        Raises
        ------
        OptionError
            Where the overlap is less than the method's margin.
        """
        if self.overlap is None:
            return method.margin
        if self.overlap < method.margin:
            raise OptionError(
                f"overlap={self.overlap}: {method.name} needs at least {method.margin} px with these options, "
                "or tiles would not fit together"
            )
        return self.overlap

    def boxes(self, method: Method, width: int, height: int, jobs: int) -> Iterator[Box]:
        """Yield the tiles of an image, row by row."""
        tile_width, tile_height = self._size(method, width, height, jobs)
        for y in range(0, height, tile_height):
            for x in range(0, width, tile_width):
                yield Box(x, y, min(tile_width, width - x), min(tile_height, height - y))

    def _size(self, method: Method, width: int, height: int, jobs: int) -> tuple[int, int]:
        if isinstance(self.size, tuple | list):
            return self.size[0], self.size[1]
        if self.size is not None:
            return self.size, self.size
        high = min(max(16 * method.margin, 256), LARGEST // 2)
        bands = -(-height // high)
        bands = min(height, -(-bands // jobs) * jobs)  # as many for each thread
        return min(width, LARGEST), -(-height // bands)


def window_around(box: Box, margin: int, align: int, planes: Planes) -> Box:
    """Return a tile with its margin, both ends at multiples of `align` or at the edge of the image."""
    wider = Box(box.x - margin, box.y - margin, box.width + 2 * margin, box.height + 2 * margin)
    return aligned(wider, align, planes)


def aligned(box: Box, align: int, planes: Planes) -> Box:
    """Return a box widened until both ends are at multiples of `align`, or at the edge of the image."""
    _, height, width, _ = planes.shape
    left, top = max(0, box.x) // align * align, max(0, box.y) // align * align
    right = min(width, -(-(box.x + box.width) // align) * align)
    lower = min(height, -(-(box.y + box.height) // align) * align)
    return Box(left, top, right - left, lower - top)


def fuse_box(planes: Planes, method: Method, box: Box, backend: Backend, margin: int | None = None) -> Fused:
    """Fuse one box of the planes, as it would come out of the whole.

    Parameters
    ----------
    planes : Planes
        What to fuse.
    method : Method
        Already prepared for these planes.
    box : Box
        In pixels of the planes.
    backend : Backend
        What to compute with; the result is brought back from it.
    margin : int or None
        To read around the box, where not the method's own.
    """
    window = window_around(box, method.margin if margin is None else margin, method.align, planes)
    inner = Box(box.x - window.x, box.y - window.y, box.width, box.height)
    fused = method.fuse(Window(planes, window, backend)).cropped(inner)
    parts = (fused.image, fused.plane_index, fused.depth)
    return Fused(*(None if part is None else backend.get(part) for part in parts))


def sample_windows(planes: Planes, count: int = 4, size: int = 256) -> list[Box]:
    """Return up to count × count boxes of at most size × size px, spread evenly over the image."""
    _, height, width, _ = planes.shape
    rows, columns = _starts(height, count, size), _starts(width, count, size)
    return [Box(x, y, min(size, width), min(size, height)) for y in rows for x in columns]


def _starts(length: int, count: int, size: int) -> list[int]:
    """Return where the samples of one axis begin: about the middle of equal parts, at multiples of their size.

    So a sample lies in few storage tiles, which are decoded for it whole.
    """
    count = max(1, min(count, length // size))
    return [max(0, int((index + 0.5) * length / count - size / 2)) // size * size for index in range(count)]
