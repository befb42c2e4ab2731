"""`Method`: one way to fuse focal planes, as options that can do their work on any tile."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from planish.errors import OptionError
from planish.fuse.backend import Array, Backend
from planish.fuse.planes import Planes
from planish.model import Box


@dataclass(frozen=True, eq=False)
class Fused:
    """One sharp image out of focal planes.

    Attributes
    ----------
    image : ndarray, (Y, X, C)
        Of the planes' dtype.
    plane_index : ndarray of int16, (Y, X), or None
        The plane that each pixel was taken from, where it has a single source.
    depth : ndarray of float32, (Y, X), or None
        Depth in planes, fractional, where it was asked for.
    """

    image: Array
    plane_index: Array | None = None
    depth: Array | None = None

    def __repr__(self) -> str:
        return f"Fused({described(vars(self))})"

    def cropped(self, inner: Box) -> Fused:
        """Return a box of it."""
        rows, columns = slice(inner.y, inner.y + inner.height), slice(inner.x, inner.x + inner.width)
        parts = (None if part is None else part[rows, columns] for part in (self.image, self.plane_index, self.depth))
        return Fused(*parts)


@dataclass(frozen=True)
class Window:
    """What a method sees of the planes at once: a tile and its margin, cut off at the edges of the image.

    Attributes
    ----------
    planes : Planes
        All of them.
    box : Box
        The window, in pixels of the planes.
    backend : Backend
        What to compute with.
    span : sequence of int or None
        The planes to look at, lowest first; None for all.
    """

    planes: Planes
    box: Box
    backend: Backend
    span: Sequence[int] | None = None

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and channels of the window."""
        return self.box.height, self.box.width, self.planes.shape[3]

    @property
    def numbers(self) -> Sequence[int]:
        """The planes to look at."""
        return range(self.planes.shape[0]) if self.span is None else self.span

    def read(self) -> Iterator[tuple[int, Array]]:
        """Visit each plane once: yield its number and its pixels, (height, width, C), on the backend."""
        for plane in self.numbers:
            yield plane, self.backend.put(self.planes.read(plane, self.box))


@dataclass(frozen=True, kw_only=True)
class Method(ABC):
    """Base of the fusion methods: frozen options, checked when made.

    Attributes
    ----------
    name : str
        As users name it.
    visits : int
        How often each plane of a tile is read.
    has_depth : bool
        Whether it can tell the plane or the depth of each pixel.
    """

    name: ClassVar[str]
    visits: ClassVar[int]
    has_depth: ClassVar[bool] = False

    @property
    @abstractmethod
    def float_planes(self) -> float:
        """How many float32 images of a window's size are held at once for one channel (a float64 one counts as two).

        Beside the planes' own pixels and the result.
        """

    @property
    def channel_planes(self) -> float:
        """The same for each further channel."""
        return 1

    @property
    def map_bytes(self) -> int:
        """Bytes of a pixel of the result beside its channels: of its plane's number or its depth."""
        return 2 if self.has_depth else 0

    @property
    @abstractmethod
    def margin(self) -> int:
        """How far around a pixel its value depends on others, in pixels."""

    @property
    def align(self) -> int:
        """Windows begin at multiples of this, and end there or at the image's edge."""
        return 1

    @property
    def windows(self) -> dict[str, tuple[int, int]]:
        """Widths and heights in pixels, by option, which must not exceed the image's."""
        return {}

    def check(self, planes: Planes) -> None:
        """Raise OptionError where the options do not fit the planes."""
        _, height, width, _ = planes.shape
        for option, (wide, high) in self.windows.items():
            if wide > width or high > height:
                raise OptionError(
                    f"{option}: makes a window of {wide} × {high} px, larger than the image, which is "
                    f"{width} × {height} px"
                )

    def at(self, downsample_x: float, downsample_y: float) -> Self:
        """Return the method for a smaller level of the same image; pixel sizes stay as they are."""
        return self

    def prepare(self, planes: Planes, backend: Backend) -> Self:
        """Return the method with what it must know of all planes, so that tiles agree; most need nothing."""
        return self

    @abstractmethod
    def fuse(self, window: Window) -> Fused:
        """Fuse a window, of its size, on its backend; pixels nearer to its inner edges than `margin` are not exact."""


def take_sharpest(window: Window, measure: Callable[[Array, Backend], Array]) -> Fused:
    """Take each pixel from the plane where its measure, (height, width) float32, is largest, of equal ones the lowest.

    Visits each plane once, holding the best measure and one plane's own.
    """
    height, width, channels = window.shape
    best = window.backend.sharpest(height, width, channels, window.planes.dtype)
    for plane, pixels in window.read():
        best.add(measure(pixels, window.backend), pixels, plane)
    return Fused(best.image, best.index)


def described(parts: Mapping[str, Any]) -> str:
    """Return names and values in short: of arrays the shape and the dtype."""
    return ", ".join(
        f"{name}={f'<{part.dtype} {part.shape}>' if hasattr(part, 'dtype') else repr(part)}"
        for name, part in parts.items()
    )


def padded(image: Array, factor: int, backend: Backend) -> Array:
    """Return the image filled up to multiples of `factor` at its right and lower edge by repeating its last pixels."""
    height, width = image.shape
    rows = np.minimum(np.arange(-(-height // factor) * factor), height - 1)
    columns = np.minimum(np.arange(-(-width // factor) * factor), width - 1)
    if len(rows) == height and len(columns) == width:
        return image
    return image[backend.put(rows)[:, None], backend.put(columns)]
