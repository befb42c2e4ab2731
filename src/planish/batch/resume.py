"""What is still to be done: what was found now against what the ledger knows."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterable, Mapping, Set
from dataclasses import replace
from pathlib import Path
from typing import Any

from planish.batch.entry import Entry, Found, shown
from planish.batch.events import Event, Listener
from planish.batch.facts import record_facts
from planish.batch.hiding import warning_without_names
from planish.batch.job import look, sweep
from planish.batch.ledger import Ledger
from planish.errors import OptionError, PlanishError
from planish.outputs import beside
from planish.slide.bytefile import TIFF_MAGIC

TAG = "night-"
"""Of the temporary files of all jobs."""
SAME_NAME = "same output name"
IN_THE_WAY = "in the way"
NAME_TOO_LONG = "name too long"
_LOOKED_AT_AGAIN = (SAME_NAME, IN_THE_WAY, NAME_TOO_LONG)
"""Reasons that a person removes by renaming or moving files, of which the slide itself tells nothing."""
_OVER = ("not found", "input/output", "no space")
"""Reasons of a disk or a share, of which the slide tells nothing either."""
_LONGEST_NAME = 255
"""Bytes of a file name, on nearly all systems."""
LONGEST_WAIT_S = 3600.0
"""For another attempt."""
_SIDES = {"map.json": "plane map", "record.json": "record", "heatmap.png": "heatmap"}
"""What lies beside a flat slide."""
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
    retry_failed, overwrite : bool
        Whether slides that failed before are to be tried again, and outputs that are not the ledger's be replaced.
    tell : Listener
        Told of slides that are done again, and why.
    source : Path
        The folder that was searched, for a look at slides that were not found.
    """

    def __init__(
        self, ledger: Ledger, output: Path, settings: str, tell: Listener, *, retry_failed: bool = False,
        overwrite: bool = False, source: Path,
    ) -> None:  # fmt: skip
        self._ledger, self._output, self._settings, self._tell = ledger, output, settings, tell
        self._retry_failed, self._overwrite, self._source = retry_failed, overwrite, source

    def recover(self) -> None:
        """Settle what was being worked on when an earlier night was killed: done, if it was just finished."""
        sweep(self._output, TAG)  # of a report that was being written
        self._ledger.hasten(time.time() + LONGEST_WAIT_S)  # the clock may have been wrong
        for entry in self._ledger.entries("running"):
            path = self._output / entry.output
            sweep(path.parent, TAG)
            finished = None if identity(path) == self._ledger.before(entry.id) else finished_since(path, entry)
            if finished:
                if self._ledger.names:
                    finished["warnings"] = tuple(map(warning_without_names, finished["warnings"]))
                self._ledger.change(entry.id, state="done", reason="", message="", **finished)
                self._tell(Event("adopted", entry.id, entry.name))
            else:
                # The attempt counts: a slide that takes the night down with it comes last.
                self._ledger.change(entry.id, **{**_FRESH, "attempts": entry.attempts})

    def enrol(self, found: Iterable[Found], *, whole: bool = True) -> list[Found]:
        """Enter what is new, and set back what is not as it was; `whole` where nothing else lies there.

        Returns
        -------
        list of Found
            What changed while it is being worked on, to be enrolled again later.
        """
        later = []
        with self._ledger.together():
            known = self._ledger.by_source()
            if whole:
                found = list(found)
                self._miss(known, {each.relative for each in found})
            owners = {entry.output: entry for entry in known.values() if entry.reason not in _LOOKED_AT_AGAIN}
            for each in found:
                entry = known.get(each.relative)
                new = entry is None or entry.reason in _LOOKED_AT_AGAIN
                output = entry.output if entry else self._ledger.output_of(each)
                if new and (why := self._obstacle(each, output, owners)):
                    self._refuse(each, entry, why)
                elif entry is None:
                    number = self._ledger.add(each, self._settings)
                    owners[output] = replace(_blank(each, output), id=number)
                elif entry.state == "running":
                    later += [each] if (each.size, each.mtime_ns) != (entry.size, entry.mtime_ns) else []
                else:
                    self._compare(each, entry)
        return later

    def _miss(self, known: dict[Path, Entry], seen: Set[Path]) -> None:
        """Note what was never done and is no longer there, before anything else, for it stands in nobody's way."""
        gone: dict[str, Any] = {"state": "missing", "reason": "", "message": ""}
        for relative, entry in known.items():
            if relative not in seen and entry.state not in ("done", "missing") and not self._there(relative):
                self._ledger.change(entry.id, **gone)
                known[relative] = replace(entry, state="missing", reason="", message="")

    def _there(self, relative: Path) -> bool:
        """Whether a slide that was not found may be there all the same: its folder could not be listed just now."""
        try:
            (self._source / relative).lstat()
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError:
            pass
        return True

    def _obstacle(self, found: Found, output: Path, owners: Mapping[Path, Entry]) -> tuple[str, str] | None:
        """Return why a slide cannot have its output, in a word or two and in a sentence."""
        longest = beside(output, max(_SIDES, key=len)).name
        if (over := len(os.fsencode(longest)) - _LONGEST_NAME) > 0:
            message = f"{shown(Path(longest))} would be too long a name; rename the slide, shorter by {over} bytes"
            return NAME_TOO_LONG, message
        if (owner := owners.get(output)) and owner.state != "missing" and owner.relative != found.relative:
            return SAME_NAME, f"{owner.name} has the output {shown(output)} already; rename one of the two"
        if owner is None and not self._overwrite and os.path.lexists(self._output / output):
            return IN_THE_WAY, f"{shown(output)} is there, and not by this ledger; move it away, or use --overwrite"
        return None

    def _refuse(self, found: Found, entry: Entry | None, why: tuple[str, str]) -> None:
        reason, message = why
        if entry is None:
            self._ledger.add(found, self._settings, "failed", reason, message)
        elif entry.reason != reason:
            self._ledger.change(entry.id, state="failed", reason=reason, message=message)

    def _compare(self, found: Found, entry: Entry) -> None:
        facts: dict[str, Any] = {"size": found.size, "mtime_ns": found.mtime_ns, "settings": self._settings}
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
        if entry.reason in _OVER:
            return "it may go well now"
        return "it is to be tried again" if self._retry_failed or entry.reason in _LOOKED_AT_AGAIN else ""


def set_back(ledger: Ledger, entry: Entry, why: str, **facts: Any) -> None:
    """Have a slide done again; that it was done before is noted with the reason."""
    notes = (*entry.notes, f"{why}: done again") if entry.state == "done" else entry.notes
    ledger.change(entry.id, **_FRESH, **facts, notes=notes)


def unlike(path: Path, entry: Entry) -> str:
    """Return in which way an output is not what the ledger says; empty where size, header and what is beside are."""
    try:
        with path.open("rb") as file:
            head = file.read(4)
        if path.stat().st_size != entry.output_size:
            return "its flat slide has another size than was written"
    except OSError:
        return "its flat slide is gone"
    if head not in TIFF_MAGIC:
        return "its flat slide does not begin as one"
    gone = [name for suffix, name in _SIDES.items() if not os.path.lexists(beside(path, suffix))]
    return f"its {gone[0]} is gone" if gone else ""


def identity(path: Path) -> str:
    """Return what tells whether a file was replaced since, empty where there is none."""
    try:
        fact = path.stat()
    except OSError:
        return ""
    return f"{fact.st_ino}:{fact.st_size}:{fact.st_mtime_ns}"


def finished_since(path: Path, entry: Entry) -> dict[str, Any] | None:
    """Return what the ledger would have got of an output, had the night lived; None where it is not whole."""
    try:
        record = json.loads(beside(path, "record.json").read_text(encoding="utf-8"))
        facts = record_facts(record)
        if facts["output_size"] != path.stat().st_size:
            return None
        written = look(path, beside(path, "heatmap.png"))
    except (OSError, ValueError, KeyError, TypeError, PlanishError):
        return None
    return {**facts, "sha256": written.sha256, "pictures": written.pictures}


def check_source(ledger: Ledger, source: Path, *, overwrite: bool = False) -> None:
    """Raise where the ledger is of another source folder, in which other slides may have the same names.

    Parameters
    ----------
    ledger : Ledger
        Gets to know the folder where it holds no slide yet.
    source : Path
        The folder that is searched.
    overwrite : bool
        Whether it takes the place of the one that was.

    Raises
    ------
    OptionError
        Where it is another one.
    """
    resolved = source.resolve()
    digest = hashlib.sha256(os.fsencode(resolved)).hexdigest()
    known, place = ledger.fact("source"), ledger.fact("source_path") or "another folder"
    if known not in (None, digest) and ledger.counts() and not overwrite:
        raise OptionError(
            f"{ledger.path.parent}: is the output of {place}; choose another output folder, or use --overwrite if that "
            "one has moved"
        )
    if known != digest:
        ledger.set_facts(source=digest, source_path="" if ledger.names else shown(resolved))


def _blank(found: Found, output: Path) -> Entry:
    return Entry(0, found.relative, output, "waiting", found.size, found.mtime_ns, "")
