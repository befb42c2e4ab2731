"""A claim on work that several processes could do: the first has it, and loses it when it dies."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path
from typing import Self

_TRIES, _BETWEEN_S = 3, 0.01
"""`claimed` has the file for a moment, too."""


class Claim:
    """A locked file, which is there only as long as somebody has the claim, or died with it; a context manager."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path, self._descriptor = path, descriptor

    @classmethod
    def take(cls, path: Path) -> Self | None:
        """Return the claim, None where somebody has it.

        Raises
        ------
        OSError
            Where the file cannot be written.
        """
        for _ in range(_TRIES):
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
            if _locked(descriptor) and _is_at(path, descriptor):
                return cls(path, descriptor)
            os.close(descriptor)
            time.sleep(_BETWEEN_S)
        return None

    def release(self) -> None:
        """Let others have it. Whoever has opened the file meanwhile sees that it is not the one at its place."""
        self._path.unlink(missing_ok=True)
        os.close(self._descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def claimed(path: Path) -> bool:
    """Whether somebody who lives has the claim."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return False
    try:
        return not _locked(descriptor, shared=True)
    finally:
        os.close(descriptor)


def _locked(descriptor: int, *, shared: bool = False) -> bool:
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_at(path: Path, descriptor: int) -> bool:
    """Whether the file is still at its place; else it was removed by whoever had the claim."""
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False
