"""Work plane by plane, in threads."""

from __future__ import annotations

from collections.abc import Callable

from planish.threads import in_threads


def by_planes(work: Callable[[int], object], count: int, jobs: int) -> None:
    """Call a function with each plane's number, and wait for all."""
    with in_threads(work, ((z,) for z in range(count)), jobs) as results:
        for _ in results:
            pass
