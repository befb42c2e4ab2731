"""`Requests`: the slides that are to be flattened, as small files in the output folder, which outlast the service."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path
from typing import Any

from planish.batch.reasons import Failure
from planish.errors import WriteError
from planish.serve.smallfile import get, number, put

NAME = ".planish.requests"
AT_ONCE = 32
"""Requests that one night takes."""


class Requests:
    """Read and written by several processes.

    Parameters
    ----------
    output : Path
        The folder of the flat slides.

    Raises
    ------
    WriteError
        Where it cannot be written.
    """

    def __init__(self, output: Path) -> None:
        self.folder = output / NAME
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise WriteError(f"{output}: cannot write there ({error.strerror}); choose another folder") from error

    @property
    def lock(self) -> Path:
        """What whoever works on the requests has claimed."""
        return self.folder / "lock"

    def put(self, relative: Path) -> None:
        """Ask for a slide, by its place below the source folder; an earlier request for it is forgotten.

        Raises
        ------
        OSError
            Where the disk refuses.
        """
        self._failure(relative).unlink(missing_ok=True)
        put(self._request(relative), {"slide": str(relative), "at": time.time()})

    def time(self, relative: Path) -> float:
        """Return when a slide was asked for, seconds since 1970; 0 where it was not, or that is settled."""
        return _when(get(self._request(relative)) or {})

    def next(self) -> dict[Path, float]:
        """Return the slides to be done next, those that were asked for first, and when that was."""
        told = [each for path in self.folder.glob("*.request.json") if (each := get(path)) and _is_for(each, path)]
        waiting = sorted(told, key=_when)
        return {Path(each["slide"]): _when(each) for each in waiting[:AT_ONCE]}

    def settle(self, relative: Path, asked: float, why: Failure | None = None) -> None:
        """Take a request away unless there is a newer one; note why nothing came of it if the ledger does not say."""
        if self.time(relative) == asked:
            if why:
                put(self._failure(relative), {"reason": why.reason, "message": why.message})
            self._request(relative).unlink(missing_ok=True)

    def failure(self, relative: Path) -> Failure | None:
        """Return why nothing came of a request, None where the ledger tells."""
        told = get(self._failure(relative))
        return Failure(str(told.get("reason")), str(told.get("message"))) if told else None

    def _request(self, relative: Path) -> Path:
        return self.folder / f"{_key(relative)}.request.json"

    def _failure(self, relative: Path) -> Path:
        return self.folder / f"{_key(relative)}.failed.json"


def _when(told: dict[str, Any]) -> float:
    return number(told, "at")


def _is_for(told: dict[str, Any], path: Path) -> bool:
    """Whether a request is the one that `put` would write to its place, and not a stranger's."""
    try:
        return path.name.startswith(_key(Path(told["slide"])))
    except (KeyError, TypeError, ValueError):
        return False


def _key(relative: Path) -> str:
    return hashlib.sha256(os.fsencode(relative)).hexdigest()[:32]
