"""The ledger: every slide's state in one SQLite file, which survives kills and full disks."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any, Self

from planish.batch.entry import Entry, Found, State
from planish.batch.names import NameTable
from planish.batch.schema import APPLICATION, SCHEMA, VERSION
from planish.errors import PlanishError

NAME = "planish-ledger.sqlite"
_PATIENCE_S = 10
_AT_ONCE = 64
"""Slides looked at for one that fits on the disk."""
_COLUMNS = {field.name for field in fields(Entry)} - {"relative", "id"} | {"not_before", "before"}


class LedgerError(PlanishError):
    """The ledger cannot be read, or is no ledger of this version."""


class LedgerBlocked(LedgerError):
    """The ledger could not be written now, for want of space or because of the disk; it is as it was before."""


class Ledger:
    """A context manager; one thread, and one writer.

    Parameters
    ----------
    path : Path
        Its file; made where it is not there.
    names : NameTable or None
        Where the names are kept apart from the ledger.
    read_only : bool
        For looking at it while another process writes; then it must be there.

    Raises
    ------
    LedgerError
        Where the file is no ledger, of a newer version, damaged, or does not go with `names`.
    Occupied
        Where somebody else uses `names`, which are held until `close`.
    """

    def __init__(self, path: Path, names: NameTable | None = None, *, read_only: bool = False) -> None:
        self.path, self.names = path, names
        if read_only and not path.exists():
            raise LedgerError(f"{path}: no such file; {path.parent} is no output folder of planish batch")
        try:
            # To look, it is opened for writing if it can be: after a kill, SQLite puts back what was half-written.
            mode = "rwc" if not read_only else "rw" if os.access(path, os.W_OK) else "ro"
            self._database = sqlite3.connect(
                f"{path.absolute().as_uri()}?mode={mode}",
                uri=True, timeout=_PATIENCE_S, isolation_level=None,
            )  # fmt: skip
        except sqlite3.Error as error:
            raise LedgerError(f"{path}: cannot be opened ({error}); check who may read it") from error
        self._database.row_factory = sqlite3.Row
        try:
            if names:
                names.hold()
            self._prepare(read_only)
        except sqlite3.OperationalError as error:
            self.close()
            raise LedgerBlocked(f"{path}: cannot be read ({error}); try again, or mend the disk") from error
        except sqlite3.Error as error:
            self.close()
            raise LedgerError(f"{path}: cannot be used as a ledger ({error}); move it away to begin anew") from error
        except PlanishError:
            self.close()
            raise

    def _prepare(self, read_only: bool) -> None:
        # Not WAL: that is three files, needs shared memory, and so fails on network shares. Commits are few.
        self._database.execute("PRAGMA synchronous = FULL")
        version, application = (
            self._database.execute(f"PRAGMA {name}").fetchone()[0] for name in ("user_version", "application_id")
        )
        if application not in (0, APPLICATION) or (version == 0 and self._tables()):
            raise LedgerError(f"{self.path}: belongs to another program; move it away, or choose another folder")
        if version > VERSION:
            raise LedgerError(
                f"{self.path}: is of version {version}, this planish knows up to {VERSION}; use a newer planish"
            )
        if version == 0 and read_only:
            raise LedgerError(f"{self.path}: holds nothing yet; planish batch in {self.path.parent} fills it")
        if version == 0:
            self._check_new()
            with self.together():
                for statement in SCHEMA.split(";\n"):
                    self._database.execute(statement)
                self._database.execute(f"PRAGMA application_id = {APPLICATION}")
                self._database.execute(f"PRAGMA user_version = {VERSION}")
                self.set_facts(names_apart=self.names is not None, table=self.names.claim() if self.names else "")
        apart = bool(self.fact("names_apart"))
        if apart and self.names is None and not read_only:
            raise LedgerError(f"{self.path}: its names are kept apart; say where, with --deid-names TABLE")
        if self.names is not None and not apart:
            raise LedgerError(f"{self.path}: holds names already; use --deid-names with a new output folder")
        if self.names:
            self._check_table(self.names)

    def _check_table(self, names: NameTable) -> None:
        known = {row[0] for row in self._database.execute("SELECT id FROM slides")}
        other = names.token != (self.fact("table") or "")
        if other or not names.all().keys() >= known:
            why = (
                "is the table of another folder, not" if other and names.token else "lacks slides, or is not the table"
            )
            raise LedgerError(
                f"{names.path}: {why} of {self.path}; name the right one, or begin anew in another folder"
            )

    def _tables(self) -> bool:
        return bool(self._database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0])

    def _check_new(self) -> None:
        # Numbers would mean two slides, one here and one there.
        if self.names and self.names.all():
            raise LedgerError(f"{self.names.path}: belongs to another output folder; name a new table for this one")

    @contextmanager
    def together(self) -> Iterator[None]:
        """Write all of the block or nothing of it; blocks may lie in one another.

        Raises
        ------
        LedgerBlocked
            Where the disk refuses.
        """
        if self._database.in_transaction:
            yield
            return
        try:
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield
                if self.names:
                    self.names.save()  # first there, then here: a name without a row does no harm
                self._database.execute("COMMIT")
            finally:
                if self._database.in_transaction:
                    self._database.execute("ROLLBACK")
        except sqlite3.OperationalError as error:
            raise LedgerBlocked(f"{self.path}: cannot be written ({error}); make room, or mend the disk") from error
        except sqlite3.DatabaseError as error:
            raise LedgerError(f"{self.path}: is damaged ({error}); move it away to begin anew") from error

    def add(self, found: Found, settings: str, state: State = "waiting", reason: str = "", message: str = "") -> int:
        """Enter a slide; return its number, by which its output is called where names are kept apart."""
        with self.together():
            row = (found.size, found.mtime_ns, settings, state, reason, message)
            source = None if self.names else os.fsencode(found.relative)
            output = os.fsencode(self.output_of(found))
            cursor = self._database.execute(
                "INSERT INTO slides (source, output, size, mtime_ns, settings, state, reason, message)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (source, output, *row),
            )
            number = cursor.lastrowid or 0
            if self.names:
                self.names.add(number, found.relative)
        return number

    def output_of(self, found: Found) -> Path:
        """Return where the flat slide of a slide that is entered next will lie, below the output folder."""
        if not self.names:
            return Path(f"{found.stem}.flat.tif")
        last = next(self._read("SELECT seq FROM sqlite_sequence WHERE name = 'slides'"), (0,))[0]
        return Path(f"{last + 1:06d}.flat.tif")

    def change(self, number: int, pictures: tuple[bytes, bytes] | None = None, **columns: Any) -> None:
        """Change columns of a slide, and its pictures, at once."""
        assert columns.keys() <= _COLUMNS, columns.keys() - _COLUMNS
        values = [json.dumps(value) if isinstance(value, tuple) else value for value in columns.values()]
        assigned = ", ".join(f"{column} = ?" for column in columns)
        with self.together():
            self._database.execute(f"UPDATE slides SET {assigned} WHERE id = ?", (*values, number))
            if pictures:
                self._database.execute("INSERT OR REPLACE INTO pictures VALUES (?, ?, ?)", (number, *pictures))

    def hasten(self, latest: float) -> None:
        """Have no slide wait for longer than until then, seconds since 1970."""
        with self.together():
            self._database.execute("UPDATE slides SET not_before = ? WHERE not_before > ?", (latest, latest))

    def entries(self, *states: State) -> list[Entry]:
        """Return the slides of some states, or all, by number."""
        return list(self.each(*states))

    def each(self, *states: State) -> Iterator[Entry]:
        """Yield the slides of some states, or all, by number."""
        wanted = f"WHERE state IN ({', '.join('?' * len(states))})" if states else ""
        for row in self._read(f"SELECT * FROM slides {wanted} ORDER BY id", states):
            yield self._entry(row)

    def find(self, relative: Path) -> Entry | None:
        """Return a slide by its source, None where it was never entered, or names are kept apart."""
        row = next(self._read("SELECT * FROM slides WHERE source = ?", (os.fsencode(relative),)), None)
        return self._entry(row) if row else None

    def ready(self, now: float, only: Collection[int] | None = None) -> list[Entry]:
        """Return the first slides that wait and need not wait longer, of all or some, those tried before last."""
        # As JSON: SQLite takes only so many values of their own.
        chosen, numbers = (
            ("", ()) if only is None else ("AND id IN (SELECT value FROM json_each(?))", (json.dumps(list(only)),))
        )
        rows = self._read(
            f"SELECT * FROM slides WHERE state = 'waiting' AND not_before <= ? {chosen} ORDER BY attempts, id LIMIT ?",
            (now, *numbers, _AT_ONCE),
        )
        return [self._entry(row) for row in rows]

    def sources(self) -> dict[int, Path]:
        """Return where each slide lies below the source folder, by number, also where names are kept apart."""
        if self.names:
            return self.names.all()
        rows = self._read("SELECT id, source FROM slides WHERE source IS NOT NULL")
        return {row[0]: Path(os.fsdecode(row[1])) for row in rows}

    def by_source(self) -> dict[Path, Entry]:
        """Return the slides by where they lie below the source folder."""
        sources = self.sources()
        return {sources[entry.id]: entry for entry in self.each() if entry.id in sources}

    def before(self, number: int) -> str:
        """Return what lay at the output's place when the last attempt began."""
        return str(next(self._read("SELECT before FROM slides WHERE id = ?", (number,)))[0])

    def pictures(self, number: int) -> tuple[bytes, bytes] | None:
        """Return small JPEGs of flat slide and heatmap."""
        row = next(self._read("SELECT slide, heatmap FROM pictures WHERE id = ?", (number,)), None)
        return (row[0], row[1]) if row else None

    def counts(self) -> dict[State, int]:
        """Return how many slides are in each state that occurs."""
        return {row[0]: row[1] for row in self._read("SELECT state, count(*) FROM slides GROUP BY state")}

    def fact(self, name: str) -> Any:
        """Return a fact on the night, None where it was never set."""
        row = next(self._read("SELECT value FROM facts WHERE name = ?", (name,)), None)
        return json.loads(row[0]) if row else None

    def set_facts(self, **facts: Any) -> None:
        """Keep facts on the night, as JSON."""
        with self.together():
            rows = [(name, json.dumps(value)) for name, value in facts.items()]
            self._database.executemany("INSERT OR REPLACE INTO facts VALUES (?, ?)", rows)

    def _read(self, statement: str, values: Sequence[object] = ()) -> Iterator[sqlite3.Row]:
        try:
            yield from self._database.execute(statement, values)
        except sqlite3.OperationalError as error:
            raise LedgerBlocked(f"{self.path}: cannot be read ({error}); try again, or mend the disk") from error
        except sqlite3.DatabaseError as error:
            raise LedgerError(f"{self.path}: cannot be read ({error}); move it away to begin anew") from error

    def _entry(self, row: sqlite3.Row) -> Entry:
        data = {field.name: row[field.name] for field in fields(Entry) if field.name != "relative"}
        for name in ("warnings", "notes"):
            data[name] = tuple(json.loads(data[name]))
        data["output"] = Path(os.fsdecode(row["output"]))
        source = row["source"]
        data["relative"] = None if source is None else Path(os.fsdecode(source))
        return Entry(**data)

    def close(self) -> None:
        """Close the file, and let go of the table of names."""
        self._database.close()
        if self.names:
            self.names.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
