"""`Jobs`: what waits for a decoder, by slides, so that none keeps the others waiting."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from planish.serve.wanted import Refused, Reply, Want

HEAD_START = 0.05
"""Seconds that a job for a slide that is open goes before one whose slide has to be opened."""


@dataclass(eq=False, slots=True)
class Job:
    """A want, who waits for it, and since when."""

    want: Want
    reply: asyncio.Future[Reply]
    since: float = field(default_factory=time.monotonic)
    again: bool = False
    """Whether a decoder died of it, or was killed by somebody while it was at it."""

    @property
    def path(self) -> str:
        """The slide's."""
        return self.want.subject.path


class Jobs:
    """Jobs that wait.

    Parameters
    ----------
    most : int
        Of all slides; a quarter of it of one.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._by_path: dict[str, deque[Job]] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, job: Job) -> None:
        """Let a job wait.

        Raises
        ------
        Refused
            Where too many do.
        """
        queue = self._by_path.get(job.path, ())
        if self._count >= self._most or len(queue) >= max(1, self._most // 4):
            raise Refused("busy", "too much is asked for at once; ask again in a moment")
        waiting = self._by_path.setdefault(job.path, deque())
        if job.again:
            waiting.appendleft(job)
        else:
            waiting.append(job)
        self._count += 1

    def drop(self, job: Job) -> None:
        """Forget a job nobody waits for any more."""
        queue = self._by_path.get(job.path)
        if queue and job in queue:
            queue.remove(job)
            self._forget(job.path)

    def pop(self, may: Callable[[str], bool], is_open: Callable[[str], bool]) -> Job | None:
        """Return the job that waited longest of a slide that may be worked on, those of open slides a bit earlier."""
        allowed = [queue[0] for path, queue in self._by_path.items() if may(path)]
        if not allowed:
            return None
        first = min(allowed, key=lambda job: job.since - HEAD_START * is_open(job.path))
        self._by_path[first.path].popleft()
        self._forget(first.path)
        return first

    def take(self, meant: Callable[[Job], bool]) -> Iterator[Job]:
        """Remove and yield the jobs that are meant."""
        for path in list(self._by_path):
            for job in [job for job in self._by_path[path] if meant(job)]:
                self._by_path[path].remove(job)
                self._forget(path)
                yield job

    def _forget(self, path: str) -> None:
        self._count -= 1
        if not self._by_path[path]:
            del self._by_path[path]
