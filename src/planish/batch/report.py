"""Morning reports: what a night did, for people (HTML), spreadsheets (CSV) and programs (JSON)."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

from planish.batch.entry import Entry, shown
from planish.batch.page import Repeat, write_page
from planish.batch.pagepictures import Pictures
from planish.files import replacing
from planish.report.plain import plain

STEM = "planish-report"
Entries = Callable[[], Iterable[Entry]]
"""Gives all entries, in the order of the ledger, each time it is called."""
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""A spreadsheet would compute a cell that begins so (OWASP, "CSV injection")."""
_A_PATH = re.compile(r"""(?<![^\s'"(=])(?:[A-Za-z]:\\|\.{0,2}/(?=\S)).*?(?=: |['"]|$)""", re.MULTILINE)


@dataclass(frozen=True)
class Night:
    """One run of `planish batch`.

    Attributes
    ----------
    began : float
        Seconds since 1970.
    ended : float or None
        The same; None while it goes on.
    version : str
        Of planish.
    command : tuple of str
        As it was typed.
    source, output : Path or None
        The folders. Where names are kept apart, they and the command are left out of all reports.
    settings : tuple of str
        Options of `planish flatten`.
    notes : tuple of str
        What was passed over when slides were looked for, without names where these are kept apart.
    interrupted : bool
        Whether somebody stopped it before all was tried.
    paused : float
        Seconds it waited for space on the disk, or for the source folder to come back.
    deid : bool
        Whether names are kept apart.
    """

    began: float
    ended: float | None
    version: str
    command: tuple[str, ...] = ()
    source: Path | None = None
    output: Path | None = None
    settings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    interrupted: bool = False
    paused: float = 0.0
    deid: bool = False

    @property
    def seconds(self) -> float | None:
        """Wall time; None while it goes on."""
        return None if self.ended is None else max(0.0, self.ended - self.began)


@dataclass
class Totals:
    """Sums over all slides of a ledger.

    Attributes
    ----------
    slides, done, failed, waiting, running, missing : int
        How many there are in all, and of each state.
    done_before : int
        Of those done, how many were when the night began.
    warned : int
        Of those done, how many have warnings.
    bytes_in, bytes_out : int
        Of the slides done, and of their flat slides.
    tiles_copied, tiles_encoded : int
        Over the slides done.
    longest_seconds, largest_memory : float, int or None
        Over the slides done this night: of the one that took longest, and of the one whose process held most bytes.
    longest_name, largest_name : str
        Those slides.
    """

    slides: int = 0
    done: int = 0
    failed: int = 0
    waiting: int = 0
    running: int = 0
    missing: int = 0
    done_before: int = 0
    warned: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    tiles_copied: int = 0
    tiles_encoded: int = 0
    longest_seconds: float | None = None
    longest_name: str = ""
    largest_memory: int | None = None
    largest_name: str = ""

    @classmethod
    def of(cls, entries: Iterable[Entry], began: float) -> Totals:
        """Return the sums over entries, taken one after the other, of a night that began then."""
        totals = cls()
        for entry in entries:
            totals.slides += 1
            setattr(totals, entry.state, getattr(totals, entry.state) + 1)
            if entry.state == "done":
                totals._add_done(entry, began)
        return totals

    def _add_done(self, entry: Entry, began: float) -> None:
        self.warned += bool(entry.warnings)
        self.bytes_in += entry.size
        self.bytes_out += entry.output_size or 0
        self.tiles_copied += entry.tiles_copied or 0
        self.tiles_encoded += entry.tiles_encoded or 0
        if entry.ended is not None and entry.ended < began:
            self.done_before += 1
            return
        if (entry.seconds or 0) > (self.longest_seconds or 0):
            self.longest_seconds, self.longest_name = entry.seconds, entry.name
        if (entry.peak_memory or 0) > (self.largest_memory or 0):
            self.largest_memory, self.largest_name = entry.peak_memory, entry.name

    @property
    def share_copied(self) -> float | None:
        """Share of the tiles that were copied as they are; None without any."""
        tiles = self.tiles_copied + self.tiles_encoded
        return self.tiles_copied / tiles if tiles else None

    @property
    def verdict(self) -> str:
        """One line on how the slides stand: ``180 of 200 slides done, 20 failed``."""
        if not self.slides:
            return "No slides found"
        if self.done == self.slides:
            return "1 slide, done" if self.slides == 1 else f"All {self.slides:,} slides done"
        noun = "slide" if self.slides == 1 else "slides"
        counts = {"failed": self.failed, "waiting": self.waiting, "running": self.running, "missing": self.missing}
        rest = [f"{count:,} {state}" for state, count in counts.items() if count]
        return ", ".join([f"{self.done:,} of {self.slides:,} {noun} done", *rest])


def write_report(folder: Path, night: Night, entries: Entries, pictures: Pictures, repeat: Repeat) -> None:
    """Write ``planish-report.html``, ``.csv`` and ``.json``, each whole or not at all.

    Memory holds the entries that failed or have warnings, and the pictures of one slide. The page has pictures of all
    slides with warnings and of some hundred others, those done last.

    Parameters
    ----------
    folder : Path
        The output folder; links to flat slides start there.
    night : Night
        The run.
    entries : callable
        Returns all entries; called several times.
    pictures : callable
        From an entry's id to JPEG bytes of flat slide and heatmap, or None.
    repeat : callable
        From an entry to the command that flattens it again, quoted for a shell; not asked where names are kept apart.

    Raises
    ------
    WriteError
        Where one of them cannot be written; those that were there before stay.
    """
    if night.deid:
        named, night = entries, _nameless(night)
        entries, repeat = lambda: map(_without_names, named()), lambda entry: ""
    totals = Totals.of(entries(), night.began)
    with ExitStack() as stack:
        page, table, data = (
            stack.enter_context(
                stack.enter_context(replacing(folder / f"{STEM}.{kind}", overwrite=True)).open(
                    "w", encoding=encoding, newline=""
                )
            )
            for kind, encoding in (("html", "utf-8"), ("csv", "utf-8-sig"), ("json", "utf-8"))
        )
        write_page(page, night, totals, entries, pictures, repeat)
        _write_table(table, entries())
        _write_data(data, night, totals, entries())


def _nameless(night: Night) -> Night:
    settings, notes = (tuple(map(_without_paths, words)) for words in (night.settings, night.notes))
    return replace(night, command=(), source=None, output=None, settings=settings, notes=notes)


def _without_names(entry: Entry) -> Entry:
    """Return an entry without its source, and without the paths that foreign code may have put into messages."""
    return replace(
        entry,
        relative=None,
        settings=json.dumps([_without_paths(option) for option in json.loads(entry.settings)]),
        message=_without_paths(entry.message),
        warnings=tuple(map(_without_paths, entry.warnings)),
        notes=tuple(map(_without_paths, entry.notes)),
    )


def _without_paths(text: str) -> str:
    return _A_PATH.sub("…", text)


def row(entry: Entry) -> dict[str, Any]:
    """Return an entry as strict JSON can hold it: one row of the table. Column names are stable."""
    facts = {
        "id": entry.id,
        "name": entry.name,
        "state": entry.state,
        "reason": entry.reason,
        "message": entry.message,
        "warnings": entry.warnings,
        "notes": entry.notes,
        "attempts": entry.attempts,
        "begun": _iso(entry.begun),
        "ended": _iso(entry.ended),
        "seconds": entry.seconds,
        "peak_memory": entry.peak_memory,
        "source_bytes": entry.size,
        "source_modified": _iso(entry.mtime_ns / 1e9),
        "output": shown(entry.output),
        "output_bytes": entry.output_size,
        "sha256": entry.sha256,
        "tiles_copied": entry.tiles_copied,
        "tiles_encoded": entry.tiles_encoded,
        "tile_planes_decoded": entry.tile_planes_decoded,
        "settings": json.loads(entry.settings),
    }
    return {key: plain(value) for key, value in facts.items()}


def _iso(seconds: float | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def _write_table(file: TextIO, entries: Iterable[Entry]) -> None:
    """Write RFC 4180; the byte order mark of the file's encoding lets Excel read names as they are."""
    empty = Entry(0, None, Path(), "waiting", 0, 0, "[]")
    writer = csv.DictWriter(file, list(row(empty)))
    writer.writeheader()
    for entry in entries:
        values = row(entry) | {"settings": entry.settings}
        writer.writerow({key: _cell(value) for key, value in values.items()})


def _cell(value: Any) -> Any:
    text = "\n".join(value) if isinstance(value, list) else value
    return f"'{text}" if isinstance(text, str) and text.startswith(_FORMULA) else text


def _write_data(file: TextIO, night: Night, totals: Totals, entries: Iterable[Entry]) -> None:
    paths = {"source": night.source and shown(night.source), "output": night.output and shown(night.output)}
    times = {"began": _iso(night.began), "ended": _iso(night.ended), "seconds": night.seconds}
    head = {
        "night": plain(night) | plain(paths) | times,
        "totals": plain(totals) | {"share_copied": totals.share_copied},
    }
    file.write(_json(head).removesuffix("\n}") + ',\n"slides": [')
    file.writelines(_lines(entries))
    file.write("\n]\n}\n")


def _lines(entries: Iterable[Entry]) -> Iterator[str]:
    for index, entry in enumerate(entries):
        yield f"{',' if index else ''}\n{json.dumps(row(entry), ensure_ascii=False, allow_nan=False)}"


def _json(value: Any) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False)
