"""Slides that arrive while a night runs: taken once they have stopped growing and can be opened."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from planish.batch.command import Commands
from planish.batch.discover import Discovery
from planish.batch.entry import Found
from planish.batch.job import work
from planish.errors import PlanishError

_LEAST_WAIT_S = 0.5
"""Between two looks, however short a time a file must stay as it is."""
_JOIN_S = 1.0
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
    known : iterable of Found
        What was taken already, as it was then.
    """

    def __init__(
        self, look: Callable[[], Discovery], commands: Commands, settle: float, stop: threading.Event,
        known: Iterable[Found] = (),
    ) -> None:  # fmt: skip
        self._look, self._commands, self._settle, self._night = look, commands, settle, stop
        self._candidates: dict[object, _Candidate] = {}
        self._handed: dict[object, tuple[int, int]] = {each.relative: (each.size, each.mtime_ns) for each in known}
        self._settled: list[Found] = []
        self._notes: tuple[str, ...] = ()
        self._broken: Exception | None = None
        self._lock, self._stop = threading.Lock(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="planish-watch", daemon=True)

    def begin(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more; a process that opens a slide is ended."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(_JOIN_S)  # a share that is gone may keep it for much longer

    def settled(self) -> list[Found]:
        """Return the slides that can be taken since the last call.

        Raises
        ------
        Exception
            What the thread ended with, if it did.
        """
        if self._broken:
            raise self._broken
        with self._lock:
            found, self._settled = self._settled, []
        return found

    def notes(self) -> tuple[str, ...]:
        """Return what the last look passed over."""
        return self._notes

    def _run(self) -> None:
        try:
            self._watch()
        except Exception as error:
            self._broken = error

    def _watch(self) -> None:
        while not self._stop.is_set():
            begun = time.monotonic()
            try:
                discovery = self._look()
            except (OSError, PlanishError) as error:  # a share that is gone for a while
                self._notes, took = (str(error),), 0.0
            else:
                self._notes = discovery.notes
                took = time.monotonic() - begun
                self._sort(discovery)
            self._stop.wait(max(_LEAST_WAIT_S, self._settle / _LOOKS, took))

    def _sort(self, discovery: Discovery) -> None:
        now, present = time.monotonic(), {each.relative for each in discovery.found}
        for relative in self._candidates.keys() - present:
            del self._candidates[relative]
        settled = []
        for each in discovery.found:
            facts = each.size, each.mtime_ns
            if self._handed.get(each.relative) == facts:
                continue
            candidate = self._candidates.get(each.relative)
            if candidate is None or (candidate.found.size, candidate.found.mtime_ns) != facts:
                self._candidates[each.relative] = _Candidate(each, now)
            elif now - candidate.since >= self._settle:
                settled.append(candidate)
        # What could not be opened before comes last: it may take long again.
        for candidate in sorted(settled, key=lambda candidate: candidate.probed):
            if not self._stopped() and self._ready(candidate):
                self._hand(candidate.found)

    def _hand(self, found: Found) -> None:
        del self._candidates[found.relative]
        self._handed[found.relative] = found.size, found.mtime_ns
        with self._lock:
            self._settled.append(found)

    def _ready(self, candidate: _Candidate) -> bool:
        """Whether a slide can be opened, or never will be; opening is tried again only after a while."""
        now = time.monotonic()
        if now - candidate.since > self._settle * _PATIENCE:
            return True
        if now - candidate.probed < self._settle:
            return False
        candidate.probed = now
        found = candidate.found
        return work(self._commands.probe(found.path, found.size), self._stopped).failure is None

    def _stopped(self) -> bool:
        return self._stop.is_set() or self._night.is_set()
