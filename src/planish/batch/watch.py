"""Slides that arrive while a night runs: taken once they have stopped growing and can be opened."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from planish.batch.command import Commands
from planish.batch.discover import Discovery
from planish.batch.entry import Found
from planish.batch.job import work
from planish.batch.process import GRACE_S
from planish.errors import PlanishError

_LOOKS = 3
"""Looks into the folder while a file must stay as it is."""
_PATIENCE = 20
"""Times that span, after which a slide that cannot be opened is taken all the same, and fails with a reason."""


@dataclass(slots=True)
class _Candidate:
    found: Found
    since: float
    probed: float = 0.0


class Watcher:
    """Looks into the source folder from a thread of its own, for that can take long on a share.

    Parameters
    ----------
    look : callable
        Returns what lies there now.
    commands : Commands
        For opening what is new in a process, as nobody knows what it is.
    settle : float
        Seconds for which a slide must stay as it is.
    stop : Event
        Set from outside to end the night, and `stop` is called soon.
    """

    def __init__(self, look: Callable[[], Discovery], commands: Commands, settle: float, stop: threading.Event) -> None:
        self._look, self._commands, self._settle, self._night = look, commands, settle, stop
        self._candidates: dict[object, _Candidate] = {}
        self._handed: dict[object, tuple[int, int]] = {}
        self._settled: list[Found] = []
        self._notes: tuple[str, ...] = ()
        self._lock, self._stop = threading.Lock(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="planish-watch", daemon=True)

    def begin(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more; a process that opens a slide is ended."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(GRACE_S)  # a share that is gone may keep it for much longer

    def settled(self) -> list[Found]:
        """Return the slides that can be taken since the last call."""
        with self._lock:
            found, self._settled = self._settled, []
        return found

    def notes(self) -> tuple[str, ...]:
        """Return what the last look passed over."""
        return self._notes

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                discovery = self._look()
            except (OSError, PlanishError) as error:  # a share that is gone for a while
                self._notes = (str(error),)
            else:
                self._notes = discovery.notes
                self._sort(discovery)
            self._stop.wait(self._settle / _LOOKS)

    def _sort(self, discovery: Discovery) -> None:
        now, present = time.monotonic(), {each.relative for each in discovery.found}
        for relative in self._candidates.keys() - present:
            del self._candidates[relative]
        for each in discovery.found:
            facts = each.size, each.mtime_ns
            if self._handed.get(each.relative) == facts or self._stopped():
                continue
            candidate = self._candidates.get(each.relative)
            if candidate is None or (candidate.found.size, candidate.found.mtime_ns) != facts:
                self._candidates[each.relative] = _Candidate(each, now)
            elif now - candidate.since >= self._settle and self._ready(candidate, now):
                del self._candidates[each.relative]
                self._handed[each.relative] = facts
                with self._lock:
                    self._settled.append(each)

    def _ready(self, candidate: _Candidate, now: float) -> bool:
        """Whether a slide can be opened, or never will be; opening is tried again only after a while."""
        if now - candidate.since > self._settle * _PATIENCE:
            return True
        if now - candidate.probed < self._settle:
            return False
        candidate.probed = now
        found = candidate.found
        return work(self._commands.probe(found.path, found.size), self._stopped).failure is None

    def _stopped(self) -> bool:
        return self._stop.is_set() or self._night.is_set()
