"""How long a night will still take."""

from __future__ import annotations

import time

_OVERHEAD = 16 << 20
"""Bytes that take about as long as what is the same for every slide, e.g. to start a process."""
_LEAST_DONE = 3
"""Slides after which something is said at all."""


class Estimate:
    """Of the bytes that were worked off, the rate; of those that are left, the time."""

    def __init__(self) -> None:
        self._begun = time.monotonic()
        self._done, self._weight = 0, 0

    def count(self, size: int) -> None:
        """Take note that a slide of so many bytes has ended."""
        self._done += 1
        self._weight += size + _OVERHEAD

    def left(self, slides: int, size: int) -> float | None:
        """Return the seconds that so many slides of so many bytes in all will take; None while nobody can tell."""
        if self._done < _LEAST_DONE:
            return None
        return (time.monotonic() - self._begun) * (size + slides * _OVERHEAD) / self._weight


def spelt(seconds: float) -> str:
    """Return a duration as people say it: ``45 s``, ``12 min``, ``3 h 20 min``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
