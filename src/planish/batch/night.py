"""A night, end to end: the only place where its parts meet."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from planish._version import __version__
from planish.batch import ledger as ledgers
from planish.batch.arrivals import Arrivals, numbers, unchanged
from planish.batch.command import Commands
from planish.batch.discover import Discovery, discover
from planish.batch.entry import Found, State
from planish.batch.events import Event, Listener
from planish.batch.ledger import Ledger
from planish.batch.lock import locked
from planish.batch.log import Log
from planish.batch.names import NameTable
from planish.batch.nightreport import NightReport
from planish.batch.options import BatchOptions
from planish.batch.recheck import Recheck
from planish.batch.resume import Enrolment, check_source
from planish.batch.runner import LocalRunner, Runner
from planish.batch.space import Space
from planish.batch.supervisor import Supervisor
from planish.batch.watch import Watcher
from planish.errors import OptionError, PlanishError, SlideNotFound, WriteError


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
    no_report: str = ""
    """Why the report is not of this night, or not of its end."""


def run_night(
    source: Path, output: Path, options: BatchOptions, listeners: Sequence[Listener], stop: threading.Event,
    typed: Sequence[str] = (), begin: Callable[[], object] = lambda: None,
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
    begin : callable
        Called before anything is written: until then whoever wants it to end may raise, afterwards sets `stop`.

    Returns
    -------
    Ending
        Also where slides failed.

    Raises
    ------
    PlanishError
        Where the night cannot begin: folders that are not as they must be, another batch in `output`, a ledger that
        cannot be read, no space, no cluster. Also where it cannot go on: options that no slide takes, a ledger or a
        cluster that is gone.
    """
    source, output = source.absolute(), output.absolute()
    check_folders(source, output)
    look = partial(discover, source, options.patterns)
    discovery = look()
    if not discovery.found and options.watch is None:
        passed = f" ({'; '.join(discovery.notes[:3])})" if discovery.notes and not options.names else ""
        raise SlideNotFound(f"{source}: holds no slides{passed}; check the folder, or --pattern")
    with ExitStack() as stack:
        runner = stack.enter_context(_runner(options))
        begin()
        _make(output)
        stack.enter_context(locked(output))
        names = NameTable(options.names, output) if options.names else None
        _check_space(output, options.reserve)
        ledger = stack.enter_context(Ledger(output / ledgers.NAME, names))
        check_source(ledger, source, overwrite=options.overwrite)
        stack.push(runner)  # before ledger and lock are let go of, too
        night = _Night(ledger, Commands(source, output, options, runner.threads), listeners, stop)
        return night.run(runner, look, discovery, typed)


class _Night:
    def __init__(
        self, ledger: Ledger, commands: Commands, listeners: Sequence[Listener], stop: threading.Event
    ) -> None:
        self._ledger, self._commands, self._options, self._stop = ledger, commands, commands.options, stop
        self._listeners: tuple[Listener, ...] = (Log(commands.output), *listeners)
        self._enrolment = Enrolment(
            ledger, commands.output, json.dumps(self._options.settings), self._tell,
            retry_failed=self._options.retry_failed, overwrite=self._options.overwrite, source=commands.source,
        )  # fmt: skip
        self._notes: tuple[str, ...] = ()
        self._events = 0

    def run(self, runner: Runner, look: partial[Discovery], discovery: Discovery, typed: Sequence[str]) -> Ending:
        report = NightReport(self._ledger, self._commands, typed, self._stop)
        self._enrolment.recover()
        self._notes = self._passed_over(discovery.notes)
        known = self._enrol(discovery)
        chosen = self._chosen(discovery)
        supervisor = Supervisor(self._ledger, runner, self._commands, self._tell, chosen)
        try:
            self._begin(runner, chosen)
            if self._options.watch is None:
                supervisor.run(self._stop)
            else:
                watcher = Watcher(look, self._commands, self._options.watch, self._stop, known)
                self._watch(supervisor, watcher, chosen, report)
        except Exception:  # what was done is done, and reported
            with suppress(PlanishError):
                supervisor.finish()
                self._end(report, supervisor, interrupted=True)
            raise
        return self._end(report, supervisor, interrupted=self._stop.is_set() and self._options.watch is None)

    def _enrol(self, discovery: Discovery) -> list[Found]:
        """Enter what can be worked on at once, and return it; whoever watches waits for what may still grow."""
        only = self._options.only
        if self._options.watch is None:
            found = [each for each in discovery.found if only is None or each.relative in only]
        else:
            found = unchanged(self._ledger, discovery.found)
        self._enrolment.enrol(found, whole=only is None and not self._options.patterns and self._options.watch is None)
        return found

    def _chosen(self, discovery: Discovery) -> set[int] | None:
        """Return the slides to keep to, None for all."""
        if self._options.only is not None:
            return numbers(self._ledger, self._options.only)
        return numbers(self._ledger, (each.relative for each in discovery.found)) if self._options.patterns else None

    def _begin(self, runner: Runner, chosen: set[int] | None) -> None:
        if self._options.recheck:
            Recheck(self._ledger, runner, self._commands, self._tell, chosen).run(self._stop)
        sizes = [entry.size for entry in self._ledger.each("waiting") if chosen is None or entry.id in chosen]
        facts = {
            "counts": self._ledger.counts(), "at_once": runner.slots, "threads": self._commands.threads,
            "waiting": len(sizes), "waiting_bytes": sum(sizes), "version": __version__,
        }  # fmt: skip
        self._tell(Event("began", facts=facts))
        for note in self._notes:
            self._tell(Event("passed over", facts={"what": note}))

    def _watch(self, supervisor: Supervisor, watcher: Watcher, chosen: set[int] | None, report: NightReport) -> None:
        arrivals = Arrivals(self._ledger, self._enrolment, self._tell, chosen)
        told = self._events

        def arrived() -> bool:
            nonlocal told
            any_new = arrivals.enter(watcher.settled())
            if report.due and told != self._events:
                self._notes = self._passed_over(watcher.notes())
                told = self._events
                self._report(report, supervisor, over=False)
            return any_new

        watcher.begin()
        try:
            supervisor.run(self._stop, arrived)
        finally:
            watcher.stop()

    def _report(self, report: NightReport, supervisor: Supervisor, *, interrupted: bool = False, over: bool) -> str:
        """Write the report; return why there is none. A full disk costs it, and nothing else."""
        problem = report.write(self._notes, supervisor.halts.seconds, interrupted=interrupted, over=over)
        if problem:
            self._tell(Event("blocked", facts={"message": f"no report: {problem}"}))
        return problem

    def _end(self, report: NightReport, supervisor: Supervisor, *, interrupted: bool) -> Ending:
        problem = self._report(report, supervisor, interrupted=interrupted, over=True)
        failed = [entry.reason for entry in self._ledger.each("failed")]
        ending = Ending(
            self._ledger.counts(), interrupted, self._commands.output / "planish-report.html",
            {reason: failed.count(reason) for reason in sorted(set(failed))},
            sum(bool(entry.warnings) for entry in self._ledger.each("done")), problem,
        )  # fmt: skip
        self._tell(Event("ended", facts={"counts": ending.counts, "interrupted": interrupted}))
        return ending

    def _passed_over(self, notes: tuple[str, ...]) -> tuple[str, ...]:
        """Return what was passed over, without its names where names are kept apart."""
        if self._ledger.names is None or not notes:
            return notes
        return (f"{len(notes)} files or folders were passed over; without --deid-names it would be said which",)

    def _tell(self, event: Event) -> None:
        self._events += 1
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
