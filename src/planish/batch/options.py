"""`BatchOptions`: how a night goes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from planish.batch.process import Limits
from planish.errors import OptionError
from planish.memory import available_memory
from planish.threads import cores

_LEAST_SECONDS, _SECONDS_PER_BYTE = 600.0, 2e-6
"""Ten minutes, and the time for half a megabyte per second: a tenth of what a slow disk and core do."""
_LEAST_MEMORY = 4 << 30
"""Flattening takes below 0.5 GiB whatever the slide's size; the rest is for reserved stacks and odd files."""
_MEMORY_PER_SLIDE = 3 << 29
_LONGEST_WATCH_S = 86_400
_MOST_RETRIES = 100
_MOST_MEMORY = 1 << 50
"""Far above all machines, and far below what the system's calls take."""


@dataclass(frozen=True, slots=True)
class BatchOptions:
    """How a night goes.

    Attributes
    ----------
    jobs : int
        Slides at once; 0 for as many as cores and memory allow.
    settings : tuple of str
        Options of `planish flatten`, for every slide.
    seconds, memory : float, int or None
        Limits of one slide; None for what its size suggests.
    reserve : int
        Bytes of the output's disk that stay free.
    retries : int
        How often a slide is tried again after what may pass by itself.
    retry_wait : float
        Seconds before the first of these; each further one waits four times as long.
    retry_failed : bool
        Whether slides that failed before are tried again.
    recheck : bool
        Whether slides that are done are hashed and verified.
    overwrite : bool
        Whether outputs that are there, but are none of the ledger's, are replaced.
    watch : float or None
        Seconds, a day at most, for which a new file must stay as it is to be taken; None to stop when all is done.
    patterns : tuple of str
        Globs of the slides that are taken; none for all.
    only : tuple of Path or None
        The slides, below the source folder, that are worked on, beside which the ledger stays as it is; None for all.
    names : Path or None
        Table of slides' names, kept apart from all outputs; None to have the names in the outputs.
    cluster : str or None
        Address of a Dask scheduler; None to work on this machine.
    """

    jobs: int = 0
    settings: tuple[str, ...] = ()
    seconds: float | None = None
    memory: int | None = None
    reserve: int = 1 << 30
    retries: int = 2
    retry_wait: float = 15.0
    retry_failed: bool = False
    recheck: bool = False
    overwrite: bool = False
    watch: float | None = None
    patterns: tuple[str, ...] = ()
    only: tuple[Path, ...] | None = None
    names: Path | None = None
    cluster: str | None = None

    def __post_init__(self) -> None:
        checks = {
            "--jobs": (self.jobs, 0, math.inf), "--reserve": (self.reserve, 0, math.inf),
            "--retries": (self.retries, 0, _MOST_RETRIES), "--retry-wait": (self.retry_wait, 0, math.inf),
            "--watch": (self.watch or 0, 0, _LONGEST_WATCH_S),
            "--time-limit": (1 if self.seconds is None else self.seconds, 1, math.inf),
            "--memory-limit": (1 << 28 if self.memory is None else self.memory, 1 << 28, _MOST_MEMORY),
        }  # fmt: skip
        for name, (value, least, most) in checks.items():
            if not value >= least:
                raise OptionError(f"{name} must be at least {least:,}, got {value:,}")
            if value > most:
                raise OptionError(f"{name} must be at most {most:,}, got {value:,}")

    def at_once(self) -> int:
        """Return how many slides are worked on at the same time.

        Each counts for less memory than its limit allows: flattening holds below 0.5 GiB whatever the slide's size, and
        the limit only keeps the odd file from taking all there is. So one such file harms no other slide, and two at
        once are for the system to end, which is tried again.
        """
        memory = available_memory() or _MEMORY_PER_SLIDE
        return self.jobs or max(1, min(cores(), memory // _MEMORY_PER_SLIDE))

    def limits(self, size: int) -> Limits:
        """Return the limits of a slide of so many bytes."""
        seconds = _LEAST_SECONDS + size * _SECONDS_PER_BYTE
        memory = _LEAST_MEMORY + size // 4
        return Limits(seconds if self.seconds is None else self.seconds, memory if self.memory is None else self.memory)
