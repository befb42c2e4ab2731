"""What arrives while a night goes on, on its way into the ledger."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from planish.batch.entry import Found
from planish.batch.events import Event, Listener
from planish.batch.halts import Halts
from planish.batch.ledger import Ledger, LedgerBlocked
from planish.batch.resume import Enrolment
from planish.errors import WriteError


class Arrivals:
    """Enters slides as soon as the ledger takes them.

    Parameters
    ----------
    ledger, enrolment : Ledger, Enrolment
        Of the night.
    tell : Listener
        Told how much more there is to be done.
    chosen : set of int or None
        Gets the numbers of what is entered; None where all slides are worked on anyway.
    """

    def __init__(self, ledger: Ledger, enrolment: Enrolment, tell: Listener, chosen: set[int] | None) -> None:
        self._ledger, self._enrolment, self._tell, self._chosen = ledger, enrolment, tell, chosen
        self._halts = Halts(tell)
        self._later: list[Found] = []

    def enter(self, settled: Iterable[Found]) -> bool:
        """Enter slides, and those that could not be before; return whether any is to be done now that was not."""
        found = [*self._later, *settled]
        if not found:
            return False
        before = {entry.id for entry in self._ledger.each("waiting")}
        try:
            self._later = self._enrolment.enrol(found, whole=False)
        except (LedgerBlocked, WriteError) as error:  # of the ledger, or of the table of names
            self._later = found
            self._halts.begin("blocked", message=str(error))
            return False
        self._halts.end("blocked")
        if self._chosen is not None:
            self._chosen |= numbers(self._ledger, (each.relative for each in found))
        new = [entry.size for entry in self._ledger.each("waiting") if entry.id not in before]
        if new:
            self._tell(Event("found", facts={"slides": len(new), "bytes": sum(new)}))
        return bool(new)


def numbers(ledger: Ledger, wanted: Iterable[Path]) -> set[int]:
    """Return the numbers of those slides, by their places below the source folder, that the ledger knows."""
    wanted = set(wanted)
    return {number for number, relative in ledger.sources().items() if relative in wanted}


def unchanged(ledger: Ledger, found: Iterable[Found]) -> list[Found]:
    """Return those slides that are as they were when the ledger got to know them."""
    facts = {relative: (entry.size, entry.mtime_ns) for relative, entry in ledger.by_source().items()}
    return [each for each in found if facts.get(each.relative) == (each.size, each.mtime_ns)]
