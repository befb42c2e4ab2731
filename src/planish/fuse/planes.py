"""`Planes`: the focal planes that a fusion method reads, window by window: of an array, or of a slide."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from planish.errors import OptionError
from planish.model import Box
from planish.slide.base import Slide


class Planes(Protocol):
    """Focal planes, lowest first.

    Attributes
    ----------
    shape : tuple of int, (Z, Y, X, C)
        Planes, rows, columns, channels.
    dtype : numpy.dtype
        uint8, uint16, or a float.
    """

    shape: tuple[int, int, int, int]
    dtype: np.dtype[Any]

    def read(self, plane: int, box: Box) -> NDArray[Any]:
        """Return the pixels of a box of one plane, (height, width, C)."""


class ArrayPlanes:
    """An array (Z, Y, X) or (Z, Y, X, C), or anything that is sliced like one; or a sequence of (Y, X[, C]) planes.

    Raises
    ------
    OptionError
        Where there is no plane, or they are of unlike shape or of a dtype that cannot be fused.
    """

    def __init__(self, stack: Any) -> None:
        planes: Sequence[Any] = stack if hasattr(stack, "dtype") else [np.asarray(plane) for plane in stack]
        count = len(planes)
        if not count:
            raise OptionError("stack: holds no plane; at least one is needed")
        shape, self.dtype = tuple(planes[0].shape), np.dtype(planes[0].dtype)
        for index in range(count if isinstance(planes, list) else 0):
            if (tuple(planes[index].shape), planes[index].dtype) != (shape, self.dtype):
                raise OptionError(
                    f"stack: plane {index} is {planes[index].dtype} {tuple(planes[index].shape)}, plane 0 "
                    f"{self.dtype} {shape}; all planes need one shape and one dtype"
                )
        if len(shape) not in (2, 3) or 0 in shape:
            raise OptionError(f"stack: of shape {(count, *shape)}; needed is (Z, Y, X) or (Z, Y, X, C), none of them 0")
        check_dtype("stack", self.dtype)
        self._planes = planes
        self.shape = (count, shape[0], shape[1], shape[2] if len(shape) == 3 else 1)

    def read(self, plane: int, box: Box) -> NDArray[Any]:
        """Return a box of one plane."""
        x, y, width, height = box
        pixels = np.asarray(self._planes[plane][y : y + height, x : x + width])
        return _finite(pixels.reshape(height, width, self.shape[3]), plane)


class SlidePlanes:
    """One level of a z-stacked slide.

    Raises
    ------
    OptionError
        Where its pixels are of a dtype that cannot be fused.
    """

    def __init__(self, slide: Slide, level: int = 0) -> None:
        check_dtype(slide.name, slide.dtype)
        self._slide, self._level = slide, level
        size = slide.levels[level]
        self.shape = (len(slide.planes), size.height, size.width, len(slide.channels))
        self.dtype = slide.dtype

    def read(self, plane: int, box: Box) -> NDArray[Any]:
        """Return a box of one plane."""
        return _finite(self._slide.read_region(self._level, plane, *box), plane)


def check_dtype(name: str, dtype: np.dtype[Any]) -> None:
    """Raise OptionError for pixels that cannot be fused."""
    if dtype not in (np.uint8, np.uint16, np.float32, np.float64):
        raise OptionError(f"{name}: has {dtype} pixels; those that are fused are uint8, uint16, float32 and float64")


def _finite(pixels: NDArray[Any], plane: int) -> NDArray[Any]:
    if pixels.dtype.kind == "f" and not np.isfinite(pixels).all():
        raise OptionError(f"stack: plane {plane} holds NaN or infinite values; needed are finite ones")
    return pixels
