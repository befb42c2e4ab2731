"""What came of slides on its way to the ledger, which a full disk may keep from being written."""

from __future__ import annotations

import os
from collections import deque
from pathlib import Path
from typing import Any

from planish.batch.halts import Halts
from planish.batch.ledger import Ledger, LedgerBlocked, LedgerError


class Book:
    """Keeps changes in order until the ledger takes them.

    There are never more than slides were being worked on when the disk filled up, for nothing begins while any waits.
    """

    def __init__(self, ledger: Ledger, halts: Halts) -> None:
        self._ledger, self._halts = ledger, halts
        self._file = ledger.path.stat()
        self._unsaved: deque[tuple[int, tuple[bytes, bytes] | None, dict[str, Any]]] = deque()

    def keep(self, number: int, pictures: tuple[bytes, bytes] | None = None, **columns: Any) -> bool:
        """Write a change now if that is possible, else as soon as it is; return whether nothing waits."""
        self._unsaved.append((number, pictures, columns))
        return self.save()

    def save(self) -> bool:
        """Try to write what waits; return whether nothing waits any more.

        Raises
        ------
        LedgerError
            Where the ledger is another one, or gone: what is written now is lost.
        """
        try:
            _check(self._ledger.path, self._file)
            while self._unsaved:
                number, pictures, columns = self._unsaved[0]
                self._ledger.change(number, pictures, **columns)
                self._unsaved.popleft()
        except LedgerBlocked as error:
            self._halts.begin("blocked", message=str(error))
            return False
        self._halts.end("blocked")
        return True

    def forget_last(self) -> None:
        """Drop the last change, which has not been written."""
        self._unsaved.pop()


def _check(path: Path, known: os.stat_result) -> None:
    try:
        same = os.path.samestat(path.stat(), known)
    except FileNotFoundError:
        same = False
    except OSError as error:
        raise LedgerBlocked(f"{path}: cannot be looked at ({error.strerror}); mend the disk or the share") from error
    if not same:
        raise LedgerError(f"{path}: was removed or replaced while a batch worked with it; run the same command again")
