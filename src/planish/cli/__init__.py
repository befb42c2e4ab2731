"""The `planish` command: parse, call, print."""

from __future__ import annotations

import io
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

from planish.cli.failure import as_json, exit_code, is_expected, said
from planish.cli.saying import mute, say
from planish.errors import PlanishError

__all__ = ["main"]


class Terminated(KeyboardInterrupt):
    """SIGTERM came; it unwinds as Ctrl-C does, so that temporary files are removed."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Returns
    -------
    int
        0 done, 1 failed with one line on stderr, 2 wrong usage, 75 failed for a reason that may pass, 130 interrupted,
        141 nobody reads on what is printed, 143 terminated.

    Raises
    ------
    Exception
        Any that only a fault of planish explains. With ``--json``, that and every other failure is told on stdout, too.
    """
    _never_fail_to_print()
    try:
        with _terminable():
            return _run(arguments)
    except KeyboardInterrupt as stop:
        terminated = isinstance(stop, Terminated)
        say(f"planish: {'terminated' if terminated else 'interrupted'}; no output was written", sys.stderr)
        return 143 if terminated else 130


def _run(arguments: Sequence[str] | None) -> int:
    # Here, so that Ctrl-C while they are imported ends in one line, too.
    from planish.cli.parser import attached, build_parser

    options = build_parser().parse_args(attached(sys.argv[1:] if arguments is None else arguments))
    try:
        code: int | None = options.run(options)
        if sys.stdout is not None:  # closed when the program began
            sys.stdout.flush()
    except BrokenPipeError:  # whoever read what is printed, such as `head`, has seen enough
        mute(sys.stdout)
        return 141
    except Exception as error:
        if getattr(options, "json", False):
            say(as_json(error), sys.stdout)
        if not isinstance(error, PlanishError) and not is_expected(error):
            raise
        say(f"planish: {said(error)}", sys.stderr)
        return exit_code(error)
    return code or 0


def _never_fail_to_print() -> None:
    """Let a terminal that knows no µ show something else, instead of ending the run in an error."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


@contextmanager
def _terminable() -> Iterator[None]:
    """Make SIGTERM raise `Terminated` inside the block. Only the main thread may set handlers; others go without."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        # A second one must not disturb the cleaning up.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise Terminated

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        # None: it was not set from Python, and cannot be set back from there.
        signal.signal(signal.SIGTERM, signal.SIG_DFL if before is None else before)
