"""What options of fusion methods may be: each check raises an OptionError that names the option and its range."""

from __future__ import annotations

from typing import Any

import numpy as np

from planish.errors import OptionError

MOST_SIGMA = 1000.0
"""Largest standard deviation of any blur, in pixels."""


def positive(option: str, value: Any, *, zero: bool = False) -> None:
    """Raise OptionError unless the value is a finite number above 0, or at least 0."""
    if not _is_number(value) or not np.isfinite(value) or not (value >= 0 if zero else value > 0):
        raise OptionError(f"{option}={value!r}: needs a finite number {'of at least' if zero else 'above'} 0")


def within(option: str, value: Any, least: float, most: float) -> None:
    """Raise OptionError unless the value is a number in a range, both ends included."""
    if not _is_number(value) or not least <= value <= most:
        raise OptionError(f"{option}={value!r}: needs a number from {least:g} to {most:g}")


def sigma_of_blur(option: str, value: Any, *, zero: bool = False) -> None:
    """Raise OptionError unless the value is a standard deviation in pixels: 0 where allowed, to `MOST_SIGMA`."""
    if not _is_number(value) or not 0 <= value <= MOST_SIGMA or not (value or zero):
        least = "from 0" if zero else "above 0"
        raise OptionError(f"{option}={value!r}: needs a number {least}, and at most {MOST_SIGMA:g}")


def whole(option: str, value: Any, least: int, most: int | None = None) -> None:
    """Raise OptionError unless the value is a whole number of at least `least`, and at most `most`."""
    if not _is_whole(value) or value < least or (most is not None and value > most):
        span = f"of at least {least}" if most is None else f"from {least} to {most}"
        raise OptionError(f"{option}={value!r}: needs a whole number {span}")


def odd(option: str, value: Any) -> None:
    """Raise OptionError unless the value is an odd whole number of at least 3."""
    if not _is_whole(value) or value % 2 == 0 or value < 3:
        raise OptionError(f"{option}={value!r}: needs an odd whole number of at least 3")


def flag(option: str, value: Any) -> None:
    """Raise OptionError unless the value is True or False."""
    if not isinstance(value, bool | np.bool_):
        raise OptionError(f"{option}={value!r}: needs True or False")


def _is_whole(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return _is_whole(value) or isinstance(value, float | np.floating)
