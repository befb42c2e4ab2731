"""How long a night will still take."""

from __future__ import annotations

import time

_OVERHEAD = 16 << 20
"""Bytes that take about as long as what is the same for every slide, e.g. to start a process."""
_LEAST_DONE = 3
"""Slides after which something is said at all."""


class Estimate:
    """Of the bytes that were worked off, the rate; of those that are left, the time.

    Only time in which slides ran counts, not that of a pause or of waiting for new ones.
    """

    def __init__(self) -> None:
        self._running: set[int | None] = set()
        self._since, self._worked = 0.0, 0.0
        self._done, self._weight = 0, 0

    def begin(self, slide: int | None) -> None:
        """Take note that a slide began."""
        if not self._running:
            self._since = time.monotonic()
        self._running.add(slide)

    def end(self, slide: int | None) -> None:
        """Take note that a slide does not run any more, if it did."""
        if self._running == {slide}:
            self._worked += time.monotonic() - self._since
        self._running.discard(slide)

    def count(self, size: int) -> None:
        """Take note that a slide of so many bytes has ended for good."""
        self._done += 1
        self._weight += size + _OVERHEAD

    def left(self, slides: int, size: int) -> float | None:
        """Return the seconds that so many slides of so many bytes in all will take; None while nobody can tell."""
        if self._done < _LEAST_DONE:
            return None
        worked = self._worked + (time.monotonic() - self._since if self._running else 0.0)
        return worked * (size + slides * _OVERHEAD) / self._weight


def spelt(seconds: float) -> str:
    """Return a duration as people say it: ``45 s``, ``12 min``, ``3 h 20 min``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
