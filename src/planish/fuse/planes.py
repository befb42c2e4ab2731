"""`Planes`: the focal planes that a fusion method reads, window by window: of an array, or of a slide."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from planish.errors import OptionError
from planish.model import Box
from planish.slide.base import Slide

LARGEST_FLOAT = 1e15
"""Floats beyond it, plus or minus, are refused: the square of a sum of them would leave float32."""
MOST_CHANNELS = 32
MOST_PLANES = int(np.iinfo(np.int16).max)
"""As many as an index of int16 can name."""


class Planes(Protocol):
    """Focal planes, lowest first.

    Attributes
    ----------
    shape : tuple of int, (Z, Y, X, C)
        Planes, rows, columns, channels.
    dtype : numpy.dtype
        uint8, uint16, float32 or float64, of the machine's byte order.
    """

    shape: tuple[int, int, int, int]
    dtype: np.dtype[Any]

    def read(self, plane: int, box: Box) -> NDArray[Any]:
        """Return the pixels of a box of one plane, (height, width, C)."""


class ArrayPlanes:
    """An array (Z, Y, X) or (Z, Y, X, C), or anything that is sliced like one; or a sequence of (Y, X[, C]) planes.

    Nothing but the window that is asked for is read, of arrays as of planes that are arrays.

    Attributes
    ----------
    has_channels : bool
        Whether a C was given.

    Raises
    ------
    OptionError
        Where there is no plane, or they are of unlike shape, or of a shape or a dtype that cannot be fused.
    """

    def __init__(self, stack: Any) -> None:
        self._stack: Any = stack if _is_array(stack) else _listed(stack)
        shape, self.dtype = _form(self._stack)
        if shape and not shape[0]:
            raise OptionError("stack: holds no plane; at least one is needed")
        if len(shape) not in (3, 4) or 0 in shape:
            raise OptionError(f"stack: of shape {shape}; needed is (Z, Y, X) or (Z, Y, X, C), none of them 0")
        self.has_channels = len(shape) == 4
        channels = shape[3] if self.has_channels else 1
        if channels > MOST_CHANNELS:
            raise OptionError(f"stack: of shape {shape}; channels go last, at most {MOST_CHANNELS}")
        self.shape = (shape[0], shape[1], shape[2], channels)
        _check_count("stack", shape[0])
        check_dtype("stack", self.dtype)

    def read(self, plane: int, box: Box) -> NDArray[Any]:
        """Return a box of one plane."""
        rows, columns = slice(box.y, box.y + box.height), slice(box.x, box.x + box.width)
        listed = isinstance(self._stack, list)
        pixels = np.asarray(self._stack[plane][rows, columns] if listed else self._stack[plane, rows, columns])
        shaped = pixels.reshape(box.height, box.width, self.shape[3])
        return _sound(shaped.astype(self.dtype, copy=False), "stack", plane)


def _is_array(value: Any) -> bool:
    return hasattr(value, "dtype") and hasattr(value, "shape")


def _listed(stack: Any) -> list[Any]:
    """Return planes one by one; those that are arrays stay what they are, so that none is loaded before its time."""
    if isinstance(stack, str | bytes | Path):
        raise OptionError(f"stack={stack!r}: needed are pixels, an array (Z, Y, X); `planish fuse` takes files")
    try:
        return [plane if _is_array(plane) else np.asarray(plane) for plane in stack]
    except (TypeError, ValueError) as error:
        raise OptionError(f"stack: of {type(stack).__name__}; needed is an array (Z, Y, X[, C]) ({error})") from error


def _form(stack: Any) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Return the shape of all planes together, and their dtype in the machine's byte order.

    Raises
    ------
    OptionError
        Where planes differ.
    """
    if not isinstance(stack, list):
        return tuple(stack.shape), _native(stack.dtype)
    forms = [(tuple(plane.shape), _native(plane.dtype)) for plane in stack] or [((), np.dtype(np.uint8))]
    (shape, dtype), *others = forms
    for index, other in enumerate(others, 1):
        if other != (shape, dtype):
            raise OptionError(
                f"stack: plane {index} is {other[1]} {other[0]}, plane 0 {dtype} {shape}; "
                "all planes need one shape and one dtype"
            )
    return (len(stack), *shape), dtype


def _native(dtype: Any) -> np.dtype[Any]:
    try:
        known: np.dtype[Any] = np.dtype(dtype)
        return known.newbyteorder("=")
    except TypeError as error:
        raise OptionError(f"stack: of {dtype}, which NumPy does not know; needed is what NumPy can slice") from error


class SlidePlanes:
    """One level of a z-stacked slide.

    Raises
    ------
    OptionError
        Where its pixels are of a dtype that cannot be fused, or it has too many channels or planes.
    """

    def __init__(self, slide: Slide, level: int = 0) -> None:
        count, channels = len(slide.planes), len(slide.channels)
        check_dtype(slide.name, slide.dtype)
        _check_count(slide.name, count)
        if channels > MOST_CHANNELS:
            raise OptionError(f"{slide.name}: has {channels} channels; at most {MOST_CHANNELS} are fused")
        self._slide, self._level = slide, level
        size = slide.levels[level]
        self.shape = (count, size.height, size.width, channels)
        self.dtype = _native(slide.dtype)

    def read(self, plane: int, box: Box) -> NDArray[Any]:
        """Return a box of one plane."""
        pixels = self._slide.read_region(self._level, plane, *box)
        return _sound(pixels.astype(self.dtype, copy=False), self._slide.name, plane)


def check_dtype(name: str, dtype: np.dtype[Any]) -> None:
    """Raise OptionError for pixels that cannot be fused."""
    if dtype.newbyteorder("=") not in (np.uint8, np.uint16, np.float32, np.float64):
        raise OptionError(f"{name}: has {dtype} pixels; those that are fused are uint8, uint16, float32 and float64")


def _check_count(name: str, planes: int) -> None:
    if planes > MOST_PLANES:
        raise OptionError(f"{name}: has {planes} planes; at most {MOST_PLANES} are fused")


def _sound(pixels: NDArray[Any], name: str, plane: int) -> NDArray[Any]:
    """Return pixels that are finite, and not too large to compute with."""
    if pixels.dtype.kind == "f":
        least, most = pixels.min(), pixels.max()
        if not np.isfinite([least, most]).all():
            raise OptionError(f"{name}: plane {plane} holds NaN or infinite values; needed are finite ones")
        if max(-least, most) > LARGEST_FLOAT:
            raise OptionError(
                f"{name}: plane {plane} holds values from {least:g} to {most:g}; those that are fused lie within "
                f"±{LARGEST_FLOAT:g}"
            )
    return pixels
