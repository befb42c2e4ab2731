"""What is still to be done: what was found now against what the ledger knows."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from planish.batch.entry import Entry, Found, shown
from planish.batch.events import Event, Listener
from planish.batch.facts import record_facts
from planish.batch.job import look, sweep
from planish.batch.ledger import Ledger
from planish.errors import PlanishError
from planish.slide.bytefile import TIFF_MAGIC

TAG = "night-"
"""Of the temporary files of all jobs."""
SAME_NAME = "same output name"
_FRESH: dict[str, Any] = {"state": "waiting", "attempts": 0, "not_before": 0.0, "reason": "", "message": ""}


class Enrolment:
    """Brings the ledger up to date with what lies in the source folder.

    Parameters
    ----------
    ledger : Ledger
        Written by nobody else.
    output : Path
        The folder of the flat slides.
    settings : str
        Options of `planish flatten`, as a JSON list.
    retry_failed : bool
        Whether slides that failed before are to be tried again.
    tell : Listener
        Told of slides that are done again, and why.
    """

    def __init__(self, ledger: Ledger, output: Path, settings: str, tell: Listener, *, retry_failed: bool) -> None:
        self._ledger, self._output, self._settings, self._tell = ledger, output, settings, tell
        self._retry_failed = retry_failed

    def recover(self) -> None:
        """Settle what was being worked on when an earlier night was killed: done, if it was just finished."""
        for entry in self._ledger.entries("running"):
            path = self._output / entry.output
            sweep(path.parent, TAG)
            finished = None if identity(path) == self._ledger.before(entry.id) else finished_since(path, entry)
            if finished:
                self._ledger.change(entry.id, state="done", reason="", message="", **finished)
            else:
                self._ledger.change(entry.id, **_FRESH)

    def enrol(self, found: Iterable[Found], *, whole: bool = True) -> None:
        """Enter what is new, and set back what is not as it was; `whole` where nothing else lies there."""
        with self._ledger.together():
            sources = self._ledger.sources()
            known = {sources[entry.id]: entry for entry in self._ledger.entries() if entry.id in sources}
            owners = {entry.output: entry for entry in known.values() if entry.reason != SAME_NAME}
            seen = set()
            for each in found:
                seen.add(each.relative)
                entry = known.get(each.relative)
                output = Path(f"{each.stem}.flat.tif") if entry is None or entry.reason == SAME_NAME else entry.output
                owner = None if self._ledger.names else owners.get(output)
                if owner and owner is not entry and owner.state != "missing":
                    self._refuse(each, entry, owner)
                elif entry is None:
                    number = self._ledger.add(each, self._settings)
                    owners[output] = replace(_blank(each, output), id=number)
                else:
                    self._compare(each, entry)
            if whole:
                for relative, entry in known.items():
                    if relative not in seen and entry.state not in ("done", "missing"):
                        self._ledger.change(entry.id, state="missing", reason="", message="")

    def _refuse(self, found: Found, entry: Entry | None, owner: Entry) -> None:
        message = f"{owner.name} has the output {shown(owner.output)} already; rename one of the two"
        if entry is None:
            self._ledger.add(found, self._settings, "failed", SAME_NAME, message)
        elif entry.reason != SAME_NAME:
            self._ledger.change(entry.id, state="failed", reason=SAME_NAME, message=message)

    def _compare(self, found: Found, entry: Entry) -> None:
        facts: dict[str, Any] = {"size": found.size, "mtime_ns": found.mtime_ns, "settings": self._settings}
        if entry.state == "running":
            return  # a change is noticed when it is done
        if entry.state == "waiting":
            if (entry.size, entry.mtime_ns, entry.settings) != (found.size, found.mtime_ns, self._settings):
                self._ledger.change(entry.id, **_FRESH, **facts)
        elif why := self._why_again(found, entry):
            set_back(self._ledger, entry, why, **facts)
            if entry.state == "done":
                self._tell(Event("again", entry.id, entry.name, {"why": why}))

    def _why_again(self, found: Found, entry: Entry) -> str:
        if (found.size, found.mtime_ns) != (entry.size, entry.mtime_ns):
            return "its source changed since"
        if entry.settings != self._settings:
            return "it was done with other settings"
        if entry.state == "done":
            return unlike(self._output / entry.output, entry)
        if entry.state == "missing":
            return "it is there again"
        return "it is to be tried again" if self._retry_failed or entry.reason == SAME_NAME else ""


def set_back(ledger: Ledger, entry: Entry, why: str, **facts: Any) -> None:
    """Have a slide done again; that it was done before is noted with the reason."""
    notes = (*entry.notes, f"{why}: done again") if entry.state == "done" else entry.notes
    ledger.change(entry.id, **_FRESH, **facts, notes=notes)


def unlike(path: Path, entry: Entry) -> str:
    """Return in which way an output is not what the ledger says; empty where size and header are right."""
    try:
        with path.open("rb") as file:
            head = file.read(4)
        if path.stat().st_size != entry.output_size:
            return "its flat slide has another size than was written"
    except OSError:
        return "its flat slide is gone"
    return "" if head in TIFF_MAGIC else "its flat slide does not begin as one"


def identity(path: Path) -> str:
    """Return what tells whether a file was replaced since, empty where there is none."""
    try:
        fact = path.stat()
    except OSError:
        return ""
    return f"{fact.st_ino}:{fact.st_size}:{fact.st_mtime_ns}"


def finished_since(path: Path, entry: Entry) -> dict[str, Any] | None:
    """Return what the ledger would have got of an output, had the night lived; None where it is not whole."""
    base = path.with_suffix("")
    try:
        record = json.loads(base.with_name(f"{base.name}.record.json").read_text(encoding="utf-8"))
        facts = record_facts(record)
        if facts["output_size"] != path.stat().st_size:
            return None
        written = look(path, base.with_name(f"{base.name}.heatmap.png"))
    except (OSError, ValueError, KeyError, TypeError, PlanishError):
        return None
    return {**facts, "sha256": written.sha256, "pictures": written.pictures}


def _blank(found: Found, output: Path) -> Entry:
    return Entry(0, found.relative, output, "waiting", found.size, found.mtime_ns, "")
