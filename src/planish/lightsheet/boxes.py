"""Indices of lazy arrays: the box to read, and what is left to do with it."""

from __future__ import annotations

import operator
from dataclasses import dataclass
from types import EllipsisType
from typing import Any, TypeAlias

Index: TypeAlias = Any
"""Integers, slices and an ellipsis, alone or in a tuple; `Any`, for NumPy's integers count, too."""


@dataclass(frozen=True, slots=True)
class Boxed:
    """An index, taken apart.

    Attributes
    ----------
    box : tuple of slice
        One per axis, with steps of 1 and 0 ≤ start ≤ stop ≤ size.
    rest : tuple of int or slice
        What to index the box with: dropped axes and steps.
    """

    box: tuple[slice, ...]
    rest: tuple[int | slice, ...]


def boxed(index: Index, shape: tuple[int, ...]) -> Boxed:
    """Take an index apart, as NumPy understands it.

    Raises
    ------
    IndexError
        Where it has too many axes, an integer beyond the shape, or something else than integers, slices and one
        ellipsis.
    """
    parts = list(index) if isinstance(index, tuple) else [index]
    dots = [at for at, part in enumerate(parts) if isinstance(part, EllipsisType)]
    missing = len(shape) - len(parts) + len(dots)
    if len(dots) > 1 or missing < 0:
        raise IndexError(f"an array of {len(shape)} axes takes as many indices and one ellipsis, not {index}")
    at = dots[0] if dots else len(parts)
    parts[at : at + 1] = [slice(None)] * missing
    pairs = [_axis(part, size) for part, size in zip(parts, shape, strict=True)]
    return Boxed(tuple(box for box, _ in pairs), tuple(rest for _, rest in pairs))


def _axis(part: Any, size: int) -> tuple[slice, int | slice]:
    if isinstance(part, slice):
        return _span(range(*part.indices(size)))
    if isinstance(part, bool) or not hasattr(part, "__index__"):
        raise IndexError(f"lazy arrays take integers, slices and an ellipsis, not {part!r}; read first, then index")
    at = operator.index(part)
    if not -size <= at < size:
        raise IndexError(f"index {at} is out of range of an axis of {size}")
    return slice(at % size, at % size + 1), 0


def _span(wanted: range) -> tuple[slice, slice]:
    if not wanted:
        return slice(0, 0), slice(None)
    low, high = min(wanted[0], wanted[-1]), max(wanted[0], wanted[-1])
    return slice(low, high + 1), slice(None, None, wanted.step)
