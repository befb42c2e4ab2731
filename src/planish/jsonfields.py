"""Values out of a JSON file that a person may have edited: as they are meant, or a ValueError that names them.

Nothing is rounded, wrapped around or read out of a text.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Kind = TypeVar("Kind")


def whole(data: Mapping[str, Any], key: str) -> int:
    """Return a whole number."""
    value = data[key]
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"{key} must be a whole number, got {value!r:.40}")
    return value


def numbers(values: Any, name: str) -> tuple[float | None, ...]:
    """Return a list of numbers or nulls, at least one."""
    if not isinstance(values, list) or not values or not all(value is None or _number(value) for value in values):
        raise ValueError(f"{name} must be a list of numbers or null")
    return tuple(values)


def integers(rows: Any, name: str, kind: type[np.int16] | type[np.uint8]) -> NDArray[Any]:
    """Return rows of whole numbers that `kind` can hold; an editor may have written 1 as 1.0."""
    values, limits = np.array(rows), np.iinfo(kind)
    whole = values.dtype.kind in "iu" or (values.dtype.kind == "f" and bool((values == np.rint(values)).all()))
    if not whole:
        raise ValueError(f"{name} must be rows of whole numbers")
    if values.size and not limits.min <= values.min() <= values.max() <= limits.max:
        raise ValueError(f"{name} holds {values.min():g} to {values.max():g}, which is out of range")
    return values.astype(kind)


def floats(rows: Any, name: str) -> NDArray[np.float32]:
    """Return rows of numbers; null becomes NaN."""
    values = np.array([[np.nan if value is None else value for value in row] for row in rows])
    if values.dtype.kind not in "iuf" or bool((np.abs(values) > np.finfo(np.float32).max).any()):
        raise ValueError(f"{name} must be rows of numbers or null")
    return values.astype(np.float32)


def known(kind: type[Kind], data: Mapping[str, Any]) -> Kind:
    """Return a dataclass of texts and numbers from those of its fields that `data` holds rightly.

    Fields that are missing or of another type have their default, or an empty value; unknown ones are left out.
    """
    empty = {"str": "", "int": 0, "float": 0.0}
    values = {}
    for field in fields(kind):  # type: ignore[arg-type]  # any dataclass
        default = empty.get(str(field.type)) if field.default is MISSING else field.default
        value = data.get(field.name, default)
        fits = _number(value) if isinstance(default, float) else type(value) is type(default)
        values[field.name] = value if fits else default
    return kind(**values)


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
