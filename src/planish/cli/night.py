"""`planish batch` and `planish batch-status`."""

from __future__ import annotations

import json
import re
import signal
import sys
import threading
from argparse import Namespace
from collections.abc import Callable, Sequence
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Self

from planish.cli import commands
from planish.cli.saying import say
from planish.errors import OptionError

if TYPE_CHECKING:
    from planish.batch.events import Listener
    from planish.batch.night import Ending
    from planish.batch.options import BatchOptions

_STOPPED = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}
"""SIGHUP: the terminal was closed."""


def batch(options: Namespace) -> int:
    """Work through a folder; return 0 where all is well, 1 where slides failed, and how it was stopped otherwise."""
    from planish.batch.night import run_night

    chosen = _options(options)
    if chosen.settings:
        commands.check_settings(options)
    with _Signals() as signals:
        ending = run_night(
            options.source, options.output, chosen, _listeners(options), signals.stop, ["planish", *sys.argv[1:]],
            signals.keep,
        )  # fmt: skip
        if options.json:
            say(json.dumps(_facts(ending)), sys.stdout)
        if not options.quiet:
            say(_summary(ending), sys.stderr if options.json else sys.stdout)
    if signals.received:
        return _STOPPED[signals.received[0]]
    return 1 if ending.counts.get("failed") else 0


def status(options: Namespace) -> None:
    """Say how far a night is."""
    from planish.batch.status import night_status

    found = night_status(options.output)
    if options.json:
        print(json.dumps(found.plain()))
    else:
        print("\n".join(found.lines()))


def _options(options: Namespace) -> BatchOptions:
    from planish.batch.options import BatchOptions

    if options.deid_names and (options.label or options.macro or options.source_name):
        raise OptionError("--deid-names: leave out --label, --macro and --source-name, which show names")
    for name in (options.source, options.output):
        if re.match(r"[A-Za-z][A-Za-z0-9+.-]+:/", str(name)) and not name.exists():
            typed = str(name).replace(":/", "://", 1)  # a path keeps one slash of two
            raise OptionError(
                f"{typed}: planish reads and writes files; mount the bucket (rclone mount, s3fs, gcsfuse), or copy it"
            )
    return BatchOptions(
        jobs=options.jobs, settings=options.settings(options), seconds=options.time_limit,
        memory=options.memory_limit, reserve=options.reserve, retries=options.retries, retry_wait=options.retry_wait,
        retry_failed=options.retry_failed, recheck=options.recheck, overwrite=options.overwrite, watch=options.watch,
        patterns=tuple(options.pattern), names=options.deid_names, cluster=options.cluster,
    )  # fmt: skip


def _listeners(options: Namespace) -> Sequence[Listener]:
    if options.quiet or sys.stderr is None:  # it was closed when the program began
        return []
    from planish.cli.nightprogress import NightProgress

    return [NightProgress()]


class _Signals:
    """A context manager; from `keep` on, signals ask for the end instead of raising somewhere in the midst of writing.

    Those that the caller had ignored, as nohup does, stay ignored.
    """

    def __init__(self) -> None:
        self.stop, self.received = threading.Event(), list[signal.Signals]()
        self._before: dict[signal.Signals, Callable[[int, FrameType | None], object] | int | None] = {}

    def keep(self) -> None:
        """Begin with that."""
        for number in _STOPPED:
            if signal.getsignal(number) != signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._ask)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self.received.append(signal.Signals(number))
        self.stop.set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)


def _facts(ending: Ending) -> dict[str, object]:
    return {
        "counts": ending.counts, "interrupted": ending.interrupted, "failures": ending.failures,
        "with_warnings": ending.warned, "report": str(ending.report), "no_report": ending.no_report,
    }  # fmt: skip


def _summary(ending: Ending) -> str:
    counts = ending.counts
    lines = [f"done      {counts.get('done', 0)} of {sum(counts.values())} slides"]
    if ending.warned:
        lines[0] += f", {ending.warned} of them with warnings"
    if counts.get("failed"):
        reasons = ", ".join(f"{number} {reason}" for reason, number in ending.failures.items())
        lines.append(f"failed    {counts['failed']}: {reasons} (--retry-failed tries them again)")
    if waiting := counts.get("waiting", 0) + counts.get("running", 0):
        lines.append(f"waiting   {waiting}; the same command goes on with them")
    if counts.get("missing"):
        lines.append(f"missing   {counts['missing']}: were never done, and are no longer there")
    kept = f" (not of this night's end: {ending.no_report})" if ending.no_report else ""
    return "\n".join([*lines, f"report    {ending.report}{kept}"])
