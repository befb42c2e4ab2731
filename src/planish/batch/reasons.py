"""Why a process failed, in a word or two, and whether it may pass by itself."""

from __future__ import annotations

import errno
import json
import os
import re
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from planish.batch.entry import printable
from planish.batch.process import Outcome, Task

MAY_PASS = 75
"""Exit code of `planish` after an error of the system that may pass by itself."""
_KINDS = {
    "MemoryError": "memory", "UnsupportedSlide": "not supported", "SlideNotFound": "not found",
    "SlideError": "damaged", "TileError": "damaged", "WriteError": "writing", "OutputExists": "writing",
    "OptionError": "options", "PlanishError": "refused",
}  # fmt: skip
"""Of errors that planish raises; others are errors of the program."""
_OUTSIDE = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""Signals from outside: the system's, when memory runs out, or a person's. All others are crashes."""
_NO_MEMORY = re.compile(r"out of memory|alloc|memory exhausted|insufficient memory", re.IGNORECASE)
FULL = (errno.ENOSPC, errno.EDQUOT)
"""What the system says where a disk, or a share of it, is full."""
_LONGEST = 2000


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a slide was not done.

    Attributes
    ----------
    reason : str
        A word or two: crashed, killed, too long, memory, error, damaged, not supported, not found, writing, options,
        refused, input/output, no space, stopped, worker lost, worker unfit, same output name, in the way, name too
        long.
    message : str
        What the process said, or what was seen of its end; on one line, whatever it said.
    may_pass : bool
        Whether the same may go well later.
    own : str
        As much of the message as planish itself says without a word of anybody else, so that no name can be in it.
    """

    reason: str
    message: str
    may_pass: bool = False
    own: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "message", printable(self.message))


def _seen(reason: str, message: str, *, may_pass: bool = False) -> Failure:
    """Return a failure that is told in words of planish alone."""
    return Failure(reason, message, may_pass, message)


def failure(task: Task, outcome: Outcome) -> Failure | None:
    """Return why a process failed, None where it did not."""
    if outcome.code == 0 and printed(outcome) is not None:
        return None  # also in the moment in which it was to be ended
    if outcome.end == "stopped":
        return _seen("stopped", "the night was stopped", may_pass=True)
    if outcome.end == "time":
        return _seen("too long", f"stopped after {task.limits.seconds:.0f} s, its limit (--time-limit)")
    if outcome.code < 0:
        return _ended_by(-outcome.code, task, outcome)
    if outcome.code == 0:
        return _with_last_words("error", "printed no record", outcome)
    error = (printed(outcome) or {}).get("error")
    if not isinstance(error, Mapping):
        return _with_last_words("error", f"ended with exit code {outcome.code}", outcome)
    return _told(task, outcome, error)


def _told(task: Task, outcome: Outcome, error: Mapping[str, Any]) -> Failure:
    """Return what an error is that a process told of."""
    message, number = str(error.get("message"))[:_LONGEST], error.get("errno")
    system = os.strerror(number) if type(number) is int else ""
    if outcome.code == MAY_PASS:
        return Failure("no space" if number in FULL else "input/output", message, may_pass=True, own=system)
    kind = str(error.get("kind"))
    if kind == "MemoryError":
        return _seen("memory", _limit(task))
    if kind in _KINDS:
        return Failure(_KINDS[kind], message, own=system)
    return Failure("error", f"{kind}: {message}", own=kind if kind.isidentifier() else "")


def printed(outcome: Outcome) -> dict[str, Any] | None:
    """Return the JSON object that a process printed, None where it did not."""
    try:
        value = json.loads(outcome.said)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _ended_by(number: int, task: Task, outcome: Outcome) -> Failure:
    known = {each.value: each.name for each in signal.Signals}  # real-time signals have no names
    name = known.get(number, f"signal {number}")
    if number in _OUTSIDE:
        message = f"ended from outside by {name}; the system may have been short of memory"
        return _seen("killed", message, may_pass=True)
    if number in (signal.SIGABRT, signal.SIGTRAP) and _NO_MEMORY.search(outcome.complained):
        return _with_last_words("memory", _limit(task), outcome)
    return _with_last_words("crashed", f"ended by {name}", outcome)


def _limit(task: Task) -> str:
    return f"needed more than {task.limits.memory >> 20:,} MiB, its limit (--memory-limit)"


def _with_last_words(reason: str, own: str, outcome: Outcome) -> Failure:
    lines = [line.strip() for line in outcome.complained.splitlines() if line.strip()]
    if not lines:
        return _seen(reason, f"{own}; it said nothing")
    return Failure(reason, f"{own}; it said last: {lines[-1][:_LONGEST]}", own=own)
