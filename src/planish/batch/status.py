"""How far a night is, read from its ledger while another process may write there."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from planish.batch import ledger as ledgers
from planish.batch.entry import Entry, shown
from planish.batch.estimate import spelt
from planish.batch.ledger import Ledger
from planish.batch.lock import holder
from planish.report.plain import plain

_SHOWN = 20


@dataclass(frozen=True)
class Status:
    """The slides of a night, and who works on it.

    Attributes
    ----------
    entries : list of Entry
        All slides.
    holder : str or None
        The process that works on the folder.
    """

    entries: list[Entry]
    holder: str | None

    def plain(self) -> dict[str, Any]:
        """Return all of it as plain values for JSON."""
        slides = [plain(entry) | {"name": entry.name, "output": shown(entry.output)} for entry in self.entries]
        for slide in slides:
            del slide["relative"]
        return {"works": self.holder, "counts": self._counts(), "slides": slides}

    def lines(self) -> list[str]:
        """Return what a person wants to know."""
        counts = self._counts()
        lines = [f"{state:<9} {counts[state]}" for state in ("done", "running", "waiting", "failed", "missing")
                 if state in counts]  # fmt: skip
        lines.append(f"works     {self.holder or 'nobody; planish batch goes on from here'}")
        lines += [f"running   {entry.name}, {self._since(entry)}" for entry in self._of("running")]
        for entry in self._of("failed"):
            lines.append(f"failed    {entry.name}: {entry.reason}: {entry.message}")
        for entry in self._of("waiting"):
            if entry.reason:
                lines.append(f"waiting   {entry.name}: {entry.reason}: {entry.message}")
        warned = [entry for entry in self._of("done") if entry.warnings]
        lines += [f"warning   {entry.name}: {'; '.join(entry.warnings)}" for entry in warned[:_SHOWN]]
        if len(warned) > _SHOWN:
            lines.append(f"          and {len(warned) - _SHOWN} more with warnings, see --json or the report")
        return lines

    def _since(self, entry: Entry) -> str:
        if self.holder is None:
            return "which was being worked on when the night was killed"
        now = time.time()
        return f"for {spelt(now - (entry.begun or now))}"

    def _counts(self) -> dict[str, int]:
        states = [str(entry.state) for entry in self.entries]
        return {state: states.count(state) for state in sorted(set(states))}

    def _of(self, state: str) -> list[Entry]:
        return [entry for entry in self.entries if entry.state == state]


def night_status(folder: Path) -> Status:
    """Return how far the night is whose outputs lie in a folder; nothing is changed there.

    Raises
    ------
    LedgerError
        Where there is no ledger, or none of this version.
    """
    with Ledger(folder / ledgers.NAME, read_only=True) as ledger:
        return Status(ledger.entries(), holder(folder))
