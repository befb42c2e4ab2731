"""The report of a night while it goes on, at its end, and where there is no time left for one."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence

from planish._version import __version__
from planish.batch.command import Commands
from planish.batch.entry import Entry, State
from planish.batch.job import tagged
from planish.batch.ledger import Ledger
from planish.batch.report import Night, write_report
from planish.batch.resume import TAG
from planish.errors import Cancelled, PlanishError

EVERY_S = 60.0
"""Between two reports of a night that does not end by itself."""
_SHARE = 20
"""The same, in times that one takes to write."""
_AT_STOP_S = 1.0
"""For a report after the night was asked to stop."""


class NightReport:
    """Writes the morning report of one night.

    Parameters
    ----------
    ledger, commands : Ledger, Commands
        Of the night.
    typed : sequence of str
        The command as it was typed.
    stop : Event
        Set from outside to end the night: then a report has little time.
    """

    def __init__(self, ledger: Ledger, commands: Commands, typed: Sequence[str], stop: threading.Event) -> None:
        self._ledger, self._commands, self._typed, self._stop = ledger, commands, tuple(typed), stop
        self._began, self._due = time.time(), time.monotonic() + EVERY_S
        self._stopped: float | None = None

    @property
    def due(self) -> bool:
        """Whether the last one was written long enough ago."""
        return time.monotonic() > self._due

    def write(self, notes: tuple[str, ...], paused: float, *, interrupted: bool = False, over: bool = True) -> str:
        """Write it; return why it could not be, if so: an earlier one stays then."""
        apart = self._ledger.names is not None
        night = Night(
            began=self._began, ended=time.time() if over else None, version=__version__,
            command=() if apart else self._typed, source=None if apart else self._commands.source,
            output=None if apart else self._commands.output, settings=self._commands.options.settings,
            notes=notes, interrupted=interrupted, paused=paused, deid=apart,
        )  # fmt: skip
        begun, problem = time.monotonic(), ""
        try:
            with tagged(f"{TAG}report"):
                write_report(self._commands.output, night, self._entries, self._ledger.pictures, self._repeat)
        except (OSError, PlanishError) as error:
            problem = str(error)
        self._due = time.monotonic() + max(EVERY_S, _SHARE * (time.monotonic() - begun))
        return problem

    def _entries(self, *states: State) -> Iterator[Entry]:
        for entry in self._ledger.each(*states):
            if self._stop.is_set():
                self._stopped = self._stopped or time.monotonic()
                if time.monotonic() - self._stopped > _AT_STOP_S:
                    raise Cancelled("the night was stopped, and so many slides take longer; the next one writes it")
            yield entry

    def _repeat(self, entry: Entry) -> str:
        return "" if entry.relative is None else self._commands.typed(entry, entry.relative)
