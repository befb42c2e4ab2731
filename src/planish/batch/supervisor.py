"""The supervisor: begins slides while there is room, takes what comes of them, and writes it down."""

from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Any

from planish.batch.book import Book
from planish.batch.command import Commands
from planish.batch.entry import Entry
from planish.batch.events import Event, Listener
from planish.batch.facts import record_facts
from planish.batch.halts import Halts
from planish.batch.hiding import message_without_names, warning_without_names
from planish.batch.job import Result
from planish.batch.ledger import Ledger
from planish.batch.presence import Presence
from planish.batch.reasons import FULL, Failure
from planish.batch.resume import LONGEST_WAIT_S, identity
from planish.batch.runner import Runner
from planish.batch.space import Space, need
from planish.errors import OptionError

WAIT_S = 0.2
"""Between two looks at signals, the disk and new arrivals."""
STOP_S = 4.0
"""For running slides to end when the night is stopped."""
_NO_SPACE_WAIT_S = 2.0
_GONE_WAIT_S = 2.0
_LONGER = 4
_ALIKE = 3
"""Slides that refuse their options, before any was done, after which all others would, too."""


class Supervisor:
    """Works through the ledger; only its own thread touches that.

    Its memory does not grow with the night: what is done is in the ledger, and forgotten here.

    Parameters
    ----------
    ledger : Ledger
        With all slides that are to be done.
    runner : Runner
        Does the work.
    commands : Commands
        What the work is.
    tell : Listener
        Told of everything that happens.
    only : collection of int or None
        The slides, by number, to which it keeps; None for all.
    """

    def __init__(
        self, ledger: Ledger, runner: Runner, commands: Commands, tell: Listener, only: Collection[int] | None = None
    ) -> None:
        self._ledger, self._runner, self._commands, self._tell = ledger, runner, commands, tell
        self._only = only
        self._options = commands.options
        self._space = Space(commands.output, self._options.reserve)
        self.halts = Halts(tell)
        self._book = Book(ledger, self.halts)
        self._sources = ledger.sources()
        self._running: dict[int, Entry] = {}
        self._presence, self._look_again = Presence(commands.source), -math.inf
        self._gone = False
        self._refusals: list[str] | None = []
        """What the first slides had against their options; None once one ended in another way."""

    def run(self, stop: threading.Event, arrived: Callable[[], bool] | None = None) -> None:
        """Work until all is done, or until `stop`.

        Parameters
        ----------
        stop : Event
            Set from outside, e.g. on a signal; what runs is ended then, and waits for another night.
        arrived : callable, optional
            Enters slides that have arrived, and returns whether any did. With it, the end of the work is not the end.

        Raises
        ------
        OptionError
            Where the first slides that end all refuse their options.
        LedgerError
            Where the ledger is gone or damaged.
        """
        while not stop.is_set():
            if arrived and arrived():
                self._sources = self._ledger.sources()
            if self._book.save():
                self._begin()
                if not (self._running or arrived or self._ledger.ready(math.inf, self._only)):
                    break
            self._take(WAIT_S)
            self._check_refusals()
        self.finish()

    def _check_refusals(self) -> None:
        if self._refusals and len(self._refusals) >= _ALIKE:
            raise OptionError(
                f"the first {len(self._refusals)} slides all refuse these options, so the others wait: "
                f"{self._refusals[0]}"
            )

    def _begin(self) -> None:
        """Begin slides while there are slots and room, and their folder."""
        if self._gone and self._still_gone():
            return
        while len(self._running) < self._runner.slots:
            entry = self._next()
            if entry is None or not self._start(entry):
                return

    def _still_gone(self) -> bool:
        if time.monotonic() >= self._look_again:
            self._gone = self._presence.gone()
            self._look_again = time.monotonic() + _GONE_WAIT_S
        return self._gone

    def _next(self) -> Entry | None:
        ready = self._ledger.ready(time.time(), self._only)
        needs = {number: need(entry) for number, entry in self._running.items()}
        entry = next((each for each in ready if self._space.fits(each, needs)), None)
        if entry or not ready:
            self.halts.end("paused")
        elif not self._running:
            free, least = self._space.free() + self._space.reserve, min(need(each) for each in ready)
            self.halts.begin("paused", free=free, reserve=self._space.reserve, needed=least)
        return entry

    def _start(self, entry: Entry) -> bool:
        """Begin a slide; return whether another may."""
        entry, relative = replace(entry, attempts=entry.attempts + 1), self._sources.get(entry.id)
        if relative is None:
            message = "the table of names does not have it"
            self._failed(entry, Failure("not found", message, own=message))
            return True
        job = self._commands.flatten(entry, relative)
        assert job.output
        try:
            job.output.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            reason = "no space" if error.errno in FULL else "writing"
            message = f"{job.output.parent}: cannot be made ({error.strerror})"
            self._failed(entry, Failure(reason, message, may_pass=True, own=error.strerror or ""))
            return True
        facts: dict[str, Any] = {
            "attempts": entry.attempts, "before": identity(job.output), "begun": time.time(),
            "settings": json.dumps(self._options.settings),
        }  # fmt: skip
        if not self._book.keep(entry.id, state="running", **facts):
            self._book.forget_last()
            return False
        self._running[entry.id] = entry
        self._tell(Event("started", entry.id, entry.name, {"attempt": entry.attempts}))
        self._runner.begin(entry.id, job)
        return True

    def _take(self, wait: float) -> None:
        for number, result in self._runner.ended(wait):
            entry = self._running.pop(number)
            if result.failure:
                self._failed(entry, result.failure, result.seconds, result.peak_memory)
            else:
                self._done(entry, result)

    def _done(self, entry: Entry, result: Result) -> None:
        assert result.record and result.written
        try:
            facts = record_facts(result.record)
        except (KeyError, TypeError) as error:
            self._failed(entry, Failure("error", f"its record is not as expected ({error!r})"), result.seconds)
            return
        facts |= {"output_size": result.written.size, "sha256": result.written.sha256, "seconds": result.seconds}
        if self._ledger.names:
            facts["warnings"] = tuple(map(warning_without_names, facts["warnings"]))
        self._refusals = None
        self._book.keep(
            entry.id, result.written.pictures, state="done", ended=time.time(), reason="", message="", **facts
        )
        self._tell(Event("done", entry.id, entry.name, {**facts, "size": entry.size}))

    def _failed(self, entry: Entry, why: Failure, seconds: float = 0.0, peak_memory: int = 0) -> None:
        message = message_without_names(why) if self._ledger.names else why.message
        if why.reason == "stopped":
            self._book.keep(entry.id, state="waiting", attempts=entry.attempts - 1)
        elif self._presence.gone():
            self._put_back(entry, why, message)
        elif (wait := self._wait(entry, why)) is not None:
            # For want of room is no fault of the slide's.
            attempts = entry.attempts - (why.reason == "no space" and wait == _NO_SPACE_WAIT_S)
            self._book.keep(entry.id, state="waiting", reason=why.reason, message=message, attempts=attempts,
                            not_before=time.time() + wait)  # fmt: skip
            self._tell(Event("retry", entry.id, entry.name, {"reason": why.reason, "message": message, "wait": wait}))
        else:
            facts: dict[str, Any] = {
                "reason": why.reason,
                "message": message,
                "seconds": seconds,
                "peak_memory": peak_memory,
            }
            self._note_refusal(why, message)
            self._book.keep(entry.id, state="failed", attempts=entry.attempts, ended=time.time(), **facts)
            self._tell(Event("failed", entry.id, entry.name, {**facts, "attempts": entry.attempts, "size": entry.size}))

    def _put_back(self, entry: Entry, why: Failure, message: str) -> None:
        """Have a slide wait that nothing is known of, for the folder it was read from is gone."""
        self._gone, self._look_again = True, time.monotonic() + _GONE_WAIT_S
        self._book.keep(entry.id, state="waiting", attempts=entry.attempts - 1)
        facts = {"reason": why.reason, "message": message, "wait": _GONE_WAIT_S}
        self._tell(Event("retry", entry.id, entry.name, facts))
        self.halts.begin("paused", gone="IN" if self._ledger.names else str(self._commands.source))

    def _note_refusal(self, why: Failure, message: str) -> None:
        if why.reason != "options":
            self._refusals = None
        elif self._refusals is not None:
            self._refusals.append(message)

    def _wait(self, entry: Entry, why: Failure) -> float | None:
        """Return how long a slide waits before it is tried again, None where it is not."""
        if why.reason == "no space" and not self._space.fits(replace(entry, reason=why.reason), {}):
            return _NO_SPACE_WAIT_S
        if why.may_pass and entry.attempts <= self._options.retries:
            return min(LONGEST_WAIT_S, self._options.retry_wait * float(_LONGER ** (entry.attempts - 1)))
        return None

    def finish(self) -> None:
        """End what runs, and write down what is known."""
        if self._running:
            self._tell(Event("stopping", facts={"running": len(self._running)}))
        self._runner.stop()
        deadline = time.monotonic() + STOP_S
        while self._running and time.monotonic() < deadline:
            self._take(WAIT_S)
        self._book.save()
