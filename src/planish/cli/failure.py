"""What a failed command tells: one line for people, one JSON object for programs, and whether to try again."""

from __future__ import annotations

import errno
import json
from collections.abc import Iterator

from planish.errors import OptionError

FAILED, WRONG_USAGE, MAY_PASS = 1, 2, 75
"""Exit codes; the last is EX_TEMPFAIL of sysexits.h."""

_PASSING = frozenset(
    getattr(errno, name)
    for name in (
        "EIO", "ESTALE", "ENOSPC", "EDQUOT", "EAGAIN", "ETIMEDOUT", "EBUSY", "ENETDOWN", "ENETUNREACH", "ECONNRESET",
        "EHOSTUNREACH",
    )
    if hasattr(errno, name)
)  # fmt: skip
"""Of disks and networks that may come back. Not want of memory: the next attempt would want as much."""


def said(error: BaseException) -> str:
    """Return the error in words."""
    return str(error) or ("out of memory; use fewer --jobs" if _memory(error) else type(error).__name__)


def exit_code(error: BaseException) -> int:
    """Return 2 for wrong usage, 75 where an operating system's error that may pass is the cause, else 1."""
    if isinstance(error, OptionError):
        return WRONG_USAGE
    return MAY_PASS if _errno(error) in _PASSING and not _memory(error) else FAILED


def as_json(error: BaseException) -> str:
    """Return the error as one line of JSON: its kind, what it says, and the errno of its cause."""
    kind = "MemoryError" if _memory(error) else type(error).__name__
    # A file name that is no UTF-8 comes as lone surrogates, which not every reader of JSON takes.
    message = said(error).encode("utf-8", "replace").decode("utf-8")
    return json.dumps({"error": {"kind": kind, "message": message, "errno": _errno(error)}})


def is_expected(error: BaseException) -> bool:
    """Whether an error that is not one of planish's is no fault of it: the system's, or want of memory."""
    return isinstance(error, OSError) or _memory(error)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and what it was raised from."""
    known: set[int] = set()
    while error is not None and id(error) not in known:
        known.add(id(error))
        yield error
        error = error.__cause__


def _errno(error: BaseException) -> int | None:
    return next((each.errno for each in _chain(error) if isinstance(each, OSError) and each.errno), None)


def _memory(error: BaseException) -> bool:
    """Whether memory was wanting; NumPy, OpenCV and the system each say it in their own way."""
    return any(
        isinstance(each, MemoryError)
        or (isinstance(each, OSError) and each.errno == errno.ENOMEM)
        or (type(each).__module__ == "cv2" and "Insufficient memory" in str(each))
        for each in _chain(error)
    )
