"""`Method`: one way to fuse focal planes, as options that can do their work on any tile."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from planish.errors import OptionError
from planish.fuse.backend import Array, Backend
from planish.fuse.planes import Planes
from planish.model import Box


@dataclass(frozen=True)
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
        The planes to look at; None for all.
    """

    planes: Planes
    box: Box
    backend: Backend
    span: Sequence[int] | None = None

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and channels of the window."""
        return self.box.height, self.box.width, self.planes.shape[3]

    def read(self) -> Iterator[tuple[int, Array]]:
        """Visit each plane once: yield its number and its pixels, (height, width, C), on the backend."""
        for plane in self.span or range(self.planes.shape[0]):
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
    float_planes : int
        float32 images of the size of a window held at once for one channel (a float64 one counts as two), beside
        the planes' own pixels and the result.
    channel_planes : int
        The same for each further channel.
    """

    name: ClassVar[str]
    visits: ClassVar[int]
    float_planes: ClassVar[int]
    channel_planes: ClassVar[int] = 1

    @property
    @abstractmethod
    def margin(self) -> int:
        """How far around a pixel its value depends on others, in pixels."""

    @property
    def align(self) -> int:
        """Windows begin at multiples of this, and end there or at the image's edge."""
        return 1

    @property
    def windows(self) -> dict[str, int]:
        """Sizes in pixels, by option, which must not exceed the image's."""
        return {}

    def check(self, planes: Planes) -> None:
        """Raise OptionError where the options do not fit the planes."""
        limit = min(planes.shape[1:3])
        for option, size in self.windows.items():
            if size > limit:
                raise OptionError(
                    f"{option}: makes a window of {size} px, larger than the image, which is "
                    f"{planes.shape[2]} × {planes.shape[1]} px; at most {limit} px fit"
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


def positive(option: str, value: float, *, zero: bool = False) -> None:
    """Raise OptionError unless the value is a finite number above 0, or at least 0."""
    if not _is_number(value) or not (value >= 0 if zero else value > 0):
        raise OptionError(f"{option}={value!r}: needs a number {'of at least' if zero else 'above'} 0")


def odd(option: str, value: int, *, least: int = 3) -> None:
    """Raise OptionError unless the value is an odd whole number of at least `least`."""
    if not isinstance(value, int | np.integer) or value % 2 == 0 or value < least:
        raise OptionError(f"{option}={value!r}: needs an odd whole number of at least {least}")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.integer | np.floating) and bool(np.isfinite(value))


def padded(image: Array, factor: int, backend: Backend) -> Array:
    """Return the image filled up to multiples of `factor` at its right and lower edge by repeating its last pixels."""
    height, width = image.shape
    rows = np.minimum(np.arange(-(-height // factor) * factor), height - 1)
    columns = np.minimum(np.arange(-(-width // factor) * factor), width - 1)
    if len(rows) == height and len(columns) == width:
        return image
    return image[backend.put(rows)[:, None], backend.put(columns)]
