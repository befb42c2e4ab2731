"""Slides that are done, hashed and compared with their sources in full."""

from __future__ import annotations

import threading
from collections.abc import Collection
from pathlib import Path

from planish.batch.command import Commands
from planish.batch.entry import Entry
from planish.batch.events import Event, Listener
from planish.batch.hiding import message_without_names
from planish.batch.job import sha256
from planish.batch.ledger import Ledger
from planish.batch.reasons import Failure
from planish.batch.resume import set_back
from planish.batch.runner import Runner

UNVERIFIED = "could not be verified: "
"""Begins the warning of a slide of which nothing is known that speaks against it."""
_DIFFERS = "writing"
"""Of all reasons for which verifying fails the one that means the flat slide; others come from outside of it."""


class Recheck:
    """Looks at slides that are done; sets back those that are not what they were or should be.

    Parameters
    ----------
    ledger, runner, commands : Ledger, Runner, Commands
        Of the night.
    tell : Listener
        Told of each slide what was found.
    only : collection of int or None
        The slides, by number, that are looked at; None for all.
    """

    def __init__(
        self, ledger: Ledger, runner: Runner, commands: Commands, tell: Listener, only: Collection[int] | None = None
    ) -> None:
        self._ledger, self._runner, self._commands, self._tell = ledger, runner, commands, tell
        self._sources = ledger.sources()
        self._waiting = [entry for entry in ledger.entries("done") if only is None or entry.id in only]
        self._running: dict[int, Entry] = {}

    def run(self, stop: threading.Event) -> None:
        """Look at all of them, or at those that come before `stop`."""
        while (self._waiting or self._running) and not stop.is_set():
            while self._waiting and len(self._running) < self._runner.slots and not stop.is_set():
                self._begin(self._waiting.pop(0), stop)
            for number, result in self._runner.ended(0.2):
                self._end(self._running.pop(number), result.failure)

    def _begin(self, entry: Entry, stop: threading.Event) -> None:
        relative = self._sources.get(entry.id)
        if relative is None:
            self._warn(entry, "the table of names does not have it")
            return
        try:
            found = sha256(self._commands.output / entry.output, stop.is_set)
        except (FileNotFoundError, NotADirectoryError):
            self._set_back(entry, "its flat slide is gone")
        except OSError as error:
            self._warn(entry, f"its flat slide cannot be read ({error.strerror})")
        else:
            self._compare(entry, relative, found)

    def _compare(self, entry: Entry, relative: Path, found: str) -> None:
        # It has no hash where the night was stopped just then.
        if entry.sha256 and found not in ("", entry.sha256):
            self._set_back(entry, "its flat slide was changed")
        elif (self._commands.source / relative).exists():
            self._running[entry.id] = entry
            self._runner.begin(entry.id, self._commands.verify(entry, relative))
        else:
            self._fine(entry)  # without a source, the hash has to do

    def _end(self, entry: Entry, failure: Failure | None) -> None:
        if failure is None:
            self._fine(entry)
        elif failure.reason == _DIFFERS:
            self._set_back(entry, "it differs from what its source makes")
        elif failure.reason != "stopped":
            said = message_without_names(failure) if self._ledger.names else failure.message
            self._warn(entry, f"{failure.reason}: {said}")

    def _set_back(self, entry: Entry, why: str) -> None:
        set_back(self._ledger, entry, why)
        self._tell(Event("again", entry.id, entry.name, {"why": why}))

    def _warn(self, entry: Entry, why: str) -> None:
        self._keep(entry, f"{UNVERIFIED}{why}")
        self._tell(Event("checked", entry.id, entry.name, {"unverified": why}))

    def _fine(self, entry: Entry) -> None:
        self._keep(entry)
        self._tell(Event("checked", entry.id, entry.name))

    def _keep(self, entry: Entry, *warnings: str) -> None:
        """Keep its warnings, but that of an earlier look."""
        kept = (*warnings, *(each for each in entry.warnings if not each.startswith(UNVERIFIED)))
        if kept != entry.warnings:
            self._ledger.change(entry.id, warnings=kept)
