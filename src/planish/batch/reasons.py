"""Why a process failed, in a word or two, and whether it may pass by itself."""

from __future__ import annotations

import errno
import json
import re
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

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
        refused, input/output, no space, stopped, worker lost, worker unfit, same output name, in the way.
    message : str
        What the process said, or what was seen of its end.
    may_pass : bool
        Whether the same may go well later.
    """

    reason: str
    message: str
    may_pass: bool = False


def failure(task: Task, outcome: Outcome) -> Failure | None:
    """Return why a process failed, None where it did not."""
    if outcome.code == 0 and printed(outcome) is not None:
        return None  # also in the moment in which it was to be ended
    if outcome.end == "stopped":
        return Failure("stopped", "the night was stopped", may_pass=True)
    if outcome.end == "time":
        return Failure("too long", f"stopped after {task.limits.seconds:.0f} s, its limit (--time-limit)")
    if outcome.code < 0:
        return _ended_by(-outcome.code, task, outcome)
    if outcome.code == 0:
        return Failure("error", f"printed no record; {_last_words(outcome)}")
    error = (printed(outcome) or {}).get("error")
    if not isinstance(error, Mapping):
        return Failure("error", f"ended with exit code {outcome.code}; {_last_words(outcome)}")
    message = str(error.get("message"))[:_LONGEST]
    if outcome.code == MAY_PASS:
        reason = "no space" if error.get("errno") in FULL else "input/output"
        return Failure(reason, message, may_pass=True)
    kind = str(error.get("kind"))
    if kind == "MemoryError":
        return Failure("memory", _limit(task))
    return Failure(_KINDS.get(kind, "error"), message if kind in _KINDS else f"{kind}: {message}")


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
        return Failure("killed", message, may_pass=True)
    if number in (signal.SIGABRT, signal.SIGTRAP) and _NO_MEMORY.search(outcome.complained):
        return Failure("memory", f"{_limit(task)}; {_last_words(outcome)}")
    return Failure("crashed", f"ended by {name}; {_last_words(outcome)}")


def _limit(task: Task) -> str:
    return f"needed more than {task.limits.memory >> 20:,} MiB, its limit (--memory-limit)"


def _last_words(outcome: Outcome) -> str:
    lines = [line.strip() for line in outcome.complained.splitlines() if line.strip()]
    return f"it said last: {lines[-1][:_LONGEST]}" if lines else "it said nothing"
