"""The ledger: what goes in comes out, whole or not at all, also on a full disk."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nights import wait_for
from planish.batch.book import Book
from planish.batch.entry import Entry, Found
from planish.batch.events import Event
from planish.batch.halts import Halts
from planish.batch.ledger import NAME, Ledger, LedgerBlocked, LedgerError
from planish.batch.schema import VERSION
from planish.errors import PlanishError


def found(name: str = "a.svs", size: int = 10, mtime_ns: int = 1) -> Found:
    return Found(Path("/in") / name, Path(name), Path(name).with_suffix(""), size, mtime_ns)


NAMES = st.binary(min_size=1, max_size=40).filter(lambda name: not {0, 47} & set(name) and name not in (b".", b".."))
COUNTS = st.none() | st.integers(0, 2**63 - 1)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
COLUMNS: dict[str, st.SearchStrategy[Any]] = {
    "state": st.sampled_from(["waiting", "running", "done", "failed", "missing"]),
    "size": st.integers(0, 2**63 - 1), "mtime_ns": st.integers(-(2**63), 2**63 - 1), "settings": TEXTS,
    "attempts": st.integers(0, 99), "begun": st.none() | st.floats(0, 1e12), "peak_memory": COUNTS, "reason": TEXTS,
    "message": TEXTS, "tiles_copied": COUNTS, "output_size": COUNTS, "sha256": TEXTS,
    "warnings": st.lists(TEXTS).map(tuple), "notes": st.lists(TEXTS).map(tuple),
}  # fmt: skip


@settings(max_examples=30, deadline=None)
@given(names=st.lists(NAMES, min_size=1, max_size=4, unique=True), columns=st.fixed_dictionaries({}, optional=COLUMNS))
def test_what_goes_in_comes_out(names: list[bytes], columns: dict[str, Any]) -> None:
    with tempfile.TemporaryDirectory() as folder, Ledger(Path(folder) / NAME) as ledger:
        numbers = [ledger.add(found(os.fsdecode(name)), "[]") for name in names]
        assert numbers == list(range(1, len(names) + 1))
        if columns:
            ledger.change(1, (b"slide", b"heat"), **columns)
            assert ledger.pictures(1) == (b"slide", b"heat")
        with Ledger(Path(folder) / NAME, read_only=True) as again:
            entries = again.entries()
            assert again.sources() == {number: entry.relative for number, entry in enumerate(entries, 1)}
        assert [os.fsencode(str(entry.relative)) for entry in entries] == names
        assert {column: getattr(entries[0], column) for column in columns} == columns
        assert all(entry.name.isprintable() for entry in entries)


def test_a_block_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    with Ledger(tmp_path / NAME) as ledger:
        with pytest.raises(ZeroDivisionError), ledger.together():
            ledger.add(found(), "[]")
            with ledger.together():
                ledger.add(found("b.svs"), "[]")
            _ = 1 / 0
        assert ledger.entries() == []
        assert ledger.add(found(), "[]") == 1


def test_slides_that_were_tried_before_come_last_and_not_too_early(tmp_path: Path) -> None:
    with Ledger(tmp_path / NAME) as ledger:
        for name in "abcd":
            ledger.add(found(name), "[]")
        ledger.change(1, attempts=2)
        ledger.change(2, attempts=1, not_before=50.0)
        ledger.change(3, state="done")
        assert [entry.id for entry in ledger.ready(49.0)] == [4, 1]
        assert [entry.id for entry in ledger.ready(50.0)] == [4, 2, 1]
        assert ledger.counts() == {"waiting": 3, "done": 1}


@pytest.mark.parametrize("spoil, words", [
    (lambda file: file.execute(f"PRAGMA user_version = {VERSION + 1}"), "use a newer planish"),
    (lambda file: file.execute("PRAGMA application_id = 77"), "belongs to another program"),
])  # fmt: skip
def test_other_ledgers_are_refused(tmp_path: Path, spoil: Any, words: str) -> None:
    Ledger(tmp_path / NAME).close()
    with sqlite3.connect(tmp_path / NAME) as file:
        spoil(file)
    file.close()
    before = (tmp_path / NAME).read_bytes()
    for read_only in (False, True):
        with pytest.raises(LedgerError, match=words):
            Ledger(tmp_path / NAME, read_only=read_only)
    assert (tmp_path / NAME).read_bytes() == before


def test_a_database_of_another_program_is_refused_and_kept(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / NAME) as file:
        file.execute("CREATE TABLE facts (name, value)")
    file.close()
    before = (tmp_path / NAME).read_bytes()
    with pytest.raises(LedgerError, match="belongs to another program"):
        Ledger(tmp_path / NAME)
    assert (tmp_path / NAME).read_bytes() == before


@pytest.mark.parametrize("content", [b"no database" * 500, b"SQLite format 3\0" + bytes(4000)])
def test_what_is_no_database_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / NAME).write_bytes(content)
    for read_only in (False, True):
        with pytest.raises(LedgerError, match="move it away"):
            Ledger(tmp_path / NAME, read_only=read_only)


def test_a_damaged_ledger_ends_in_an_error_with_words(tmp_path: Path) -> None:
    with Ledger(tmp_path / NAME) as ledger, ledger.together():
        for number in range(300):
            ledger.add(found(f"{number}.svs"), "[]")
    whole = bytearray((tmp_path / NAME).read_bytes())
    whole[4096 * 2 :] = b"\xa5" * len(whole[4096 * 2 :])
    (tmp_path / NAME).write_bytes(whole)
    with pytest.raises(PlanishError, match=NAME), Ledger(tmp_path / NAME) as ledger:
        ledger.entries()
        ledger.add(found("new"), "[]")


def test_damage_that_shows_later_ends_in_an_error_with_words(tmp_path: Path) -> None:
    with Ledger(tmp_path / NAME) as ledger, ledger.together():
        for number in range(300):
            ledger.add(found(f"{number}.svs"), "x" * 200)
    data = bytearray((tmp_path / NAME).read_bytes())
    data[len(data) // 2 :] = bytes(len(data) - len(data) // 2)
    (tmp_path / NAME).write_bytes(data)
    with Ledger(tmp_path / NAME) as ledger, pytest.raises(LedgerError, match="begin anew"):
        ledger.entries()


def test_no_ledger_is_made_by_looking(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="no output folder of planish batch"):
        Ledger(tmp_path / NAME, read_only=True)
    assert not list(tmp_path.iterdir())


WRITER = """
import sys, time
from pathlib import Path
from planish.batch.entry import Found
from planish.batch.ledger import Ledger
with Ledger(Path(sys.argv[1])) as ledger:
    ledger.add(Found(Path("/in/a"), Path("a"), Path("a"), 0, 0), "[]")
    while True:
        attempts = ledger.entries()[0].attempts + 1
        with ledger.together():
            ledger.change(1, attempts=attempts)
            ledger.change(1, size=attempts)
        time.sleep(0.002)
"""


def test_reading_while_another_process_writes_and_after_it_was_killed(tmp_path: Path) -> None:
    path = tmp_path / NAME

    def seen() -> Entry | None:
        try:
            with Ledger(path, read_only=True) as ledger:
                entries = ledger.entries()
        except LedgerError:
            return None
        return entries[0] if entries and entries[0].attempts else None

    with subprocess.Popen([sys.executable, "-c", WRITER, str(path)]) as writer:
        try:
            wait_for(seen)
            for entry in [seen() for _ in range(20)]:
                assert entry and entry.attempts == entry.size
        finally:
            writer.kill()
    last = seen()
    assert last and last.attempts == last.size
    with Ledger(path) as ledger:
        assert ledger.fact("names_apart") is False


def limited(ledger: Ledger, pages: int | None) -> None:
    """Let the ledger's file not grow any more, as on a full disk; SQLite then gives the same error."""
    count = ledger._database.execute("PRAGMA page_count").fetchone()[0]
    ledger._database.execute(f"PRAGMA max_page_count = {count + pages if pages is not None else 1 << 30}")


def test_a_full_disk_delays_the_ledger_and_loses_nothing(tmp_path: Path) -> None:
    events: list[Event] = []
    with Ledger(tmp_path / NAME) as ledger:
        for name in "abc":
            ledger.add(found(name), "[]")
        halts = Halts(events.append)
        book = Book(ledger, halts)
        limited(ledger, 0)
        pictures = os.urandom(9000), os.urandom(9000)
        assert not book.keep(1, pictures, state="done", message="m" * 9000)
        assert not book.keep(2, pictures, state="failed")
        assert not book.keep(1, state="waiting")
        assert not book.save()
        assert ledger.counts() == {"waiting": 3}
        assert ledger.pictures(1) is None
        assert [event.kind for event in events] == ["blocked"]
        assert "make room" in events[0].facts["message"]
        book.forget_last()
        limited(ledger, None)
        assert book.save()
        assert book.save()
        assert ledger.counts() == {"done": 1, "failed": 1, "waiting": 1}
        assert ledger.pictures(2) == pictures
        assert [event.kind for event in events] == ["blocked", "resumed"]
        assert ledger._database.execute("PRAGMA integrity_check").fetchone()[0] == "ok"


def test_a_full_disk_leaves_the_ledger_as_it_was_at_every_size(tmp_path: Path) -> None:
    with Ledger(tmp_path / NAME) as ledger:
        ledger.add(found(), "[]")
        for pages in range(8):
            limited(ledger, pages)
            before = ledger.entries()
            try:
                ledger.change(1, (os.urandom(20000), b""), message=str(pages))
            except LedgerBlocked:
                assert ledger.entries() == before
            else:
                assert ledger.entries()[0].message == str(pages)
            assert ledger._database.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        assert ledger.entries()[0].message
