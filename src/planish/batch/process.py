"""One command in a process of its own: what limits it, and what came of it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Literal

GRACE_S = 2.5
"""Between SIGTERM, on which planish removes what it has begun to write, and SIGKILL."""
_TICK_S = 0.05
_GUARD = Path(__file__).with_name("guard.py")
_MOST_SAID = 32 << 20
"""Bytes a process may print; codecs can warn at every tile. The record of a large slide has some MB."""
_TAIL = 4096

End = Literal["itself", "time", "stopped"]


@dataclass(frozen=True, slots=True)
class Limits:
    """What a process may take: wall time in seconds, memory (of its own, files mapped apart) in bytes."""

    seconds: float
    memory: int


@dataclass(frozen=True, slots=True)
class Task:
    """A command with its limits, and variables for its environment."""

    command: tuple[str, ...]
    limits: Limits
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a command.

    Attributes
    ----------
    code : int
        Exit code, or minus the signal that ended it.
    end : str
        Who ended it: ``"itself"``, the limit of ``"time"``, or it was ``"stopped"``.
    seconds : float
        Wall time.
    peak_memory : int
        The most memory it ever held, bytes.
    said : str
        All of its standard output.
    complained : str
        The end of its standard error.
    """

    code: int
    end: End
    seconds: float
    peak_memory: int
    said: str
    complained: str


def run(task: Task, stopped: Callable[[], bool]) -> Outcome:
    """Run a command to its end, its limit, or until `stopped` says so; whatever it started ends with it.

    It also ends with this process, and (Linux) with the calling thread.

    Raises
    ------
    OSError
        Where it cannot be started.
    """
    begun = time.monotonic()
    # Appending: what is printed too much can be cut off under the process's hands.
    with tempfile.TemporaryFile("a+b") as output, tempfile.TemporaryFile("a+b") as errors:
        guarded = [sys.executable, "-IS", str(_GUARD), str(os.getpid()), str(task.limits.memory), *task.command]
        process = subprocess.Popen(
            guarded,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=errors,
            start_new_session=True,
            env={**os.environ, **task.environment},
        )
        watch = _Watch(process, (output, errors))
        try:
            end = watch.until_end(begun + task.limits.seconds, stopped)
        finally:
            code = watch.reap()
        return Outcome(
            code, end, time.monotonic() - begun, watch.peak, _text(output, _MOST_SAID), _text(errors, _TAIL).strip()
        )


class _Watch:
    """Looks after a process and its group until both are gone."""

    def __init__(self, process: subprocess.Popen[bytes], files: tuple[IO[bytes], ...]) -> None:
        self._process, self._files = process, files
        self.peak = 0

    def until_end(self, deadline: float, stopped: Callable[[], bool]) -> End:
        while self._alive():
            end: End | None = "stopped" if stopped() else "time" if time.monotonic() > deadline else None
            if end:
                # What ended by itself in the same moment has ended by itself.
                return end if self._terminate() else "itself"
            self._look()
            time.sleep(_TICK_S)
        return "itself"

    def reap(self) -> int:
        """End the whole group and return the exit code, or minus the signal."""
        self._signal(signal.SIGKILL)
        _, status, usage = os.wait4(self._process.pid, 0)
        if not self.peak:  # not Linux, or it was gone at once
            self.peak = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
        self._process.returncode = os.waitstatus_to_exitcode(status)
        return self._process.returncode

    def _terminate(self) -> bool:
        if not self._alive():
            return False
        self._signal(signal.SIGTERM)
        patience = time.monotonic() + GRACE_S
        while self._alive() and time.monotonic() < patience:
            time.sleep(_TICK_S)
        return True

    def _alive(self) -> bool:
        # It stays a zombie until it is reaped, so its number cannot be another's meanwhile.
        return os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)

    def _look(self) -> None:
        """Note the memory, and cut off what was printed too much."""
        with contextlib.suppress(OSError, ValueError, StopIteration):
            status = Path(f"/proc/{self._process.pid}/status").read_text(encoding="ascii", errors="replace")
            line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
            self.peak = max(self.peak, int(line.split()[1]) * 1024)
        for file in self._files:
            if os.fstat(file.fileno()).st_size > _MOST_SAID:
                os.ftruncate(file.fileno(), 0)


def _text(file: IO[Any], most: int) -> str:
    """Return the last `most` bytes as text."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - most))
    return str(file.read().decode("utf-8", "replace"))
