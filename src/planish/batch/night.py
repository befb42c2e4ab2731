"""A night, end to end: the only place where its parts meet."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from planish._version import __version__
from planish.batch import ledger as ledgers
from planish.batch.command import Commands
from planish.batch.discover import Discovery, discover
from planish.batch.entry import Entry, Found, State
from planish.batch.events import Event, Listener
from planish.batch.halts import Halts
from planish.batch.job import tagged
from planish.batch.ledger import Ledger, LedgerBlocked
from planish.batch.lock import locked
from planish.batch.log import Log
from planish.batch.names import NameTable
from planish.batch.options import BatchOptions
from planish.batch.recheck import recheck
from planish.batch.report import Night, write_report
from planish.batch.resume import TAG, Enrolment
from planish.batch.runner import LocalRunner, Runner
from planish.batch.space import Space
from planish.batch.supervisor import Supervisor
from planish.batch.watch import Watcher
from planish.errors import OptionError, PlanishError, SlideNotFound, WriteError

REPORT_EVERY_S = 60.0
"""Between two reports of a night that does not end by itself."""


@dataclass(frozen=True)
class Ending:
    """How a night ended: slides in each state, whether it was stopped, and where the report lies."""

    counts: dict[State, int]
    interrupted: bool
    report: Path
    failures: dict[str, int] = field(default_factory=dict)
    """Slides by reason."""
    warned: int = 0
    """Slides with warnings."""


def run_night(
    source: Path, output: Path, options: BatchOptions, listeners: Sequence[Listener], stop: threading.Event,
    typed: Sequence[str] = (),
) -> Ending:  # fmt: skip
    """Flatten all slides of a folder into another one, and write the report.

    Parameters
    ----------
    source, output : Path
        The folders; `output` is made, its parent must be there.
    options : BatchOptions
        How.
    listeners : sequence of Listener
        Told of everything that happens, beside the log.
    stop : Event
        Set from outside to end the night; another one goes on from there.
    typed : sequence of str
        The command as it was typed, for the report.

    Returns
    -------
    Ending
        Also where slides failed.

    Raises
    ------
    PlanishError
        Where the night cannot begin: folders that are not as they must be, another batch in `output`, a ledger that
        cannot be read, no space.
    """
    source, output = source.absolute(), output.absolute()
    check_folders(source, output)
    look = partial(discover, source, options.patterns)
    discovery = look()
    if not discovery.found and options.watch is None:
        passed = f" ({'; '.join(discovery.notes[:3])})" if discovery.notes and not options.names else ""
        raise SlideNotFound(f"{source}: holds no slides{passed}; check the folder, or --pattern")
    with ExitStack() as stack:
        _make(output)
        stack.enter_context(locked(output))
        names = NameTable(options.names, output) if options.names else None
        _check_space(output, options.reserve)
        ledger = stack.enter_context(Ledger(output / ledgers.NAME, names))
        runner = stack.enter_context(_runner(options))
        night = _Night(ledger, Commands(source, output, options, runner.threads), listeners, typed)
        return night.run(runner, look, discovery, stop)


class _Night:
    def __init__(self, ledger: Ledger, commands: Commands, listeners: Sequence[Listener], typed: Sequence[str]) -> None:
        self._ledger, self._commands, self._typed = ledger, commands, typed
        self._listeners: tuple[Listener, ...] = (Log(commands.output), *listeners)
        self._enrolment = Enrolment(
            ledger, commands.output, json.dumps(commands.options.settings), self._tell,
            retry_failed=commands.options.retry_failed, overwrite=commands.options.overwrite,
        )  # fmt: skip
        self._began = time.time()
        self._notes: tuple[str, ...] = ()

    def run(self, runner: Runner, look: partial[Discovery], discovery: Discovery, stop: threading.Event) -> Ending:
        options = self._commands.options
        self._enrolment.recover()
        self._notes = self._passed_over(discovery.notes)
        if options.watch is None:
            self._enrol(discovery)
        if options.recheck:
            recheck(self._ledger, runner, self._commands, self._tell, stop)
        supervisor = Supervisor(self._ledger, runner, self._commands, self._tell, self._chosen())
        broken: PlanishError | None = None
        self._tell(Event("began", facts=self._began_facts(runner)))
        for note in self._notes:
            self._tell(Event("passed over", facts={"what": note}))
        try:
            if options.watch is None:
                supervisor.run(stop)
            else:
                self._watch(supervisor, Watcher(look, self._commands, options.watch, stop), stop)
        except PlanishError as error:  # a cluster that is gone: what was done is done, and reported
            broken = error
            supervisor.finish()
        interrupted = bool(broken) or (stop.is_set() and options.watch is None)
        ending = self._end(supervisor, interrupted=interrupted)
        self._tell(Event("ended", facts={"counts": ending.counts, "interrupted": interrupted}))
        if broken:
            raise broken
        return ending

    def _enrol(self, discovery: Discovery) -> None:
        only = self._commands.options.only
        wanted = [each for each in discovery.found if only is None or each.relative in only]
        self._enrolment.enrol(wanted, whole=only is None)

    def _chosen(self) -> list[int] | None:
        only = self._commands.options.only
        if only is None:
            return None
        return [number for number, relative in self._ledger.sources().items() if relative in only]

    def _watch(self, supervisor: Supervisor, watcher: Watcher, stop: threading.Event) -> None:
        reported = time.monotonic()
        later: list[Found] = []
        halts = Halts(self._tell)

        def arrived() -> bool:
            nonlocal reported, later
            found = [*later, *watcher.settled()]
            try:
                later = self._enrolment.enrol(found, whole=False) if found else []
            except (LedgerBlocked, WriteError) as error:  # of the ledger, or of the table of names
                later = found
                halts.begin("blocked", message=str(error))
            else:
                halts.end("blocked")
            if new := [each for each in found if each not in later]:
                self._tell(Event("found", facts={"slides": len(new), "bytes": sum(each.size for each in new)}))
            if time.monotonic() - reported > REPORT_EVERY_S:
                self._notes = self._passed_over(watcher.notes())
                self._end(supervisor, interrupted=False, over=False)
                reported = time.monotonic()
            return bool(new)

        watcher.begin()
        try:
            supervisor.run(stop, arrived)
        finally:
            watcher.stop()

    def _began_facts(self, runner: Runner) -> dict[str, object]:
        waiting = self._ledger.entries("waiting")
        return {
            "counts": self._ledger.counts(), "at_once": runner.slots, "threads": self._commands.threads,
            "waiting_bytes": sum(entry.size for entry in waiting), "version": __version__,
        }  # fmt: skip

    def _end(self, supervisor: Supervisor, *, interrupted: bool, over: bool = True) -> Ending:
        """Write the report; a full disk costs it, and nothing else."""
        apart = self._ledger.names is not None
        night = Night(
            began=self._began, ended=time.time() if over else None, version=__version__,
            command=() if apart else tuple(self._typed), source=None if apart else self._commands.source,
            output=None if apart else self._commands.output, settings=self._commands.options.settings,
            notes=self._notes, interrupted=interrupted, paused=supervisor.halts.seconds, deid=apart,
        )  # fmt: skip
        try:
            with tagged(f"{TAG}report"):
                write_report(self._commands.output, night, self._ledger.each, self._ledger.pictures, self._repeat)
        except (OSError, PlanishError) as error:
            self._tell(Event("blocked", facts={"message": f"no report: {error}"}))
        failed = [entry.reason for entry in self._ledger.each("failed")]
        return Ending(
            self._ledger.counts(), interrupted, self._commands.output / "planish-report.html",
            {reason: failed.count(reason) for reason in sorted(set(failed))},
            sum(bool(entry.warnings) for entry in self._ledger.each("done")),
        )  # fmt: skip

    def _repeat(self, entry: Entry) -> str:
        return "" if entry.relative is None else self._commands.typed(entry, entry.relative)

    def _passed_over(self, notes: tuple[str, ...]) -> tuple[str, ...]:
        """Return what was passed over, without its names where names are kept apart."""
        if self._ledger.names is None or not notes:
            return notes
        return (f"{len(notes)} files or folders were passed over; without --deid-names it would be said which",)

    def _tell(self, event: Event) -> None:
        for listener in self._listeners:
            listener(event)


def check_folders(source: Path, output: Path) -> None:
    """Raise where the folders would get into each other's way."""
    if source.resolve() == output.resolve():
        raise OptionError(f"{output}: is the source folder itself; choose another folder")
    if source.resolve() in output.resolve().parents:
        raise OptionError(f"{output}: lies in the source folder, beside what is searched; choose another folder")
    if output.exists() and not output.is_dir():
        raise WriteError(f"{output}: is a file; name a folder")


def _make(folder: Path) -> None:
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise WriteError(f"{folder}: cannot be made ({error.strerror}); make it, or choose another folder") from error


def _check_space(folder: Path, reserve: int) -> None:
    if (free := Space(folder, reserve).free()) <= 0:
        raise WriteError(
            f"{folder}: {(free + reserve) >> 20:,} MiB are free, {reserve >> 20:,} MiB are to stay free (--reserve); "
            "make room"
        )


def _runner(options: BatchOptions) -> Runner:
    if options.cluster is None:
        return LocalRunner(options.at_once())
    from planish.batch.cluster import ClusterRunner

    return ClusterRunner(options.cluster, options.jobs)
