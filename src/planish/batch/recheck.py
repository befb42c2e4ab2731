"""Slides that are done, hashed and compared with their sources in full."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path

from planish.batch.command import Commands
from planish.batch.entry import Entry
from planish.batch.events import Event, Listener
from planish.batch.job import sha256
from planish.batch.ledger import Ledger
from planish.batch.resume import set_back
from planish.batch.runner import Runner


def recheck(ledger: Ledger, runner: Runner, commands: Commands, tell: Listener, stop: threading.Event) -> None:
    """Have all slides that are done verified, and set back those that are not what they were or should be."""
    sources = ledger.sources()
    waiting, running = ledger.entries("done"), dict[int, Entry]()
    while (waiting or running) and not stop.is_set():
        while waiting and len(running) < runner.slots:
            entry = waiting.pop(0)
            if (why := _changed(entry, sources, commands, stop)) or not _comparable(entry, sources, commands):
                _settle(ledger, entry, why, tell)
            else:
                running[entry.id] = entry
                runner.begin(entry.id, commands.verify(entry, sources[entry.id]))
        for number, result in runner.ended(0.2):
            entry, failure = running.pop(number), result.failure
            if failure is None or failure.reason != "stopped":
                _settle(ledger, entry, f"verifying failed ({failure.reason})" if failure else "", tell)


def _changed(entry: Entry, sources: Mapping[int, Path], commands: Commands, stop: threading.Event) -> str:
    """Return in which way a flat slide is not the one that was written, empty where it is."""
    if entry.id not in sources:
        return "the table of names does not have it"
    try:
        found = sha256(commands.output / entry.output, stop.is_set)
    except OSError as error:
        return f"its flat slide cannot be read ({error.strerror})"
    # It has no hash where the night was stopped just then.
    return "its flat slide was changed" if entry.sha256 and found not in ("", entry.sha256) else ""


def _comparable(entry: Entry, sources: Mapping[int, Path], commands: Commands) -> bool:
    """Whether the source is still there; where it is not, the hash has to do."""
    return (commands.source / sources[entry.id]).exists()


def _settle(ledger: Ledger, entry: Entry, why: str, tell: Listener) -> None:
    if why:
        set_back(ledger, entry, why)
    tell(Event("again" if why else "checked", entry.id, entry.name, {"why": why} if why else {}))
