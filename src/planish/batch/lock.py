"""One batch at a time in an output folder."""

from __future__ import annotations

import fcntl
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from planish.errors import PlanishError, WriteError

NAME = ".planish.lock"


class Occupied(PlanishError):
    """Another batch works on the output folder, or with the table of names."""


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder for the length of the block; the system lets go of it even when the process is killed.

    Raises
    ------
    Occupied
        Where somebody else holds it.
    WriteError
        Where the lock cannot be written.
    """
    with held(folder / NAME, f"{folder}: another planish batch works there"):
        yield


@contextmanager
def held(path: Path, occupied: str) -> Iterator[None]:
    """Hold a file that is there for nothing else, as `locked` does; `occupied` says what somebody else has."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise WriteError(f"{path.parent}: cannot write there ({error.strerror}); choose another folder") from error
    try:
        if not any(_taken(descriptor, wait=wait) for wait in (0.0, 0.2, 0.5)):  # `holder` has it for a moment
            raise Occupied(f"{occupied} ({_holder(path)}); wait for it, or stop it")
        _sign(descriptor)
        yield
    finally:
        os.close(descriptor)  # the file stays: removing it would let two in, one by the old file and one by a new


def holder(folder: Path) -> str | None:
    """Return who works on the folder, None where nobody does."""
    path = folder / NAME
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return None
    try:
        return None if _taken(descriptor, shared=True) else _holder(path)
    finally:
        os.close(descriptor)


def _taken(descriptor: int, *, shared: bool = False, wait: float = 0.0) -> bool:
    time.sleep(wait)
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _sign(descriptor: int) -> None:
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"process {os.getpid()} on {socket.gethostname()}".encode(), 0)
    except OSError:
        pass  # a full disk: the lock holds without a name on it


def _holder(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace") or "unnamed"
    except OSError:
        return "unnamed"
