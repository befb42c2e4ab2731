"""`Jobs`: slides that are flattened into files because somebody asked for it, by the ledger of `planish batch`."""

from __future__ import annotations

import logging
import resource
import sys
import threading
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from math import inf
from pathlib import Path

from planish.batch import ledger as ledgers
from planish.batch.entry import Entry, Found, shown
from planish.batch.ledger import Ledger, LedgerError
from planish.batch.lock import holder
from planish.batch.night import check_folders
from planish.batch.options import BatchOptions
from planish.batch.process import Limits, Task, run
from planish.batch.reasons import Failure
from planish.batch.walk import measured
from planish.serve.changes import changes
from planish.serve.claim import Claim, claimed
from planish.serve.flattening import told
from planish.serve.jobstate import JobState
from planish.serve.process import secrets
from planish.serve.requests import Requests
from planish.serve.wanted import Refused
from planish.serve.words import without_paths

_LOOK_S, _REST_S = 0.5, 10.0
_LOG = logging.getLogger(__name__)


class Jobs:
    """A context manager; while it is entered, what was asked for is done, by one of the processes that have it.

    It is done as `planish batch SOURCE OUTPUT` would, one slide after the other, in the same ledger; while such a batch
    runs, it waits. `request` and `state` read files, so call them in threads.

    Parameters
    ----------
    source, output : Path
        The served folder, and that of the flat slides.
    options : BatchOptions
        Settings and limits of every slide.

    Raises
    ------
    PlanishError
        Where the folders would get into each other's way, or the output cannot be written.
    """

    def __init__(self, source: Path, output: Path, options: BatchOptions | None = None) -> None:
        self._source, self._output, options = source.absolute(), output.absolute(), options or BatchOptions()
        check_folders(self._source, self._output)
        self._options = replace(options, jobs=options.jobs or 1)
        self._requests = Requests(self._output)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="planish-jobs", daemon=True)

    def request(self, relative: Path, slide: Found | None = None) -> JobState:
        """Ask for a slide, by its place below the source folder; one that is done already is left as it is.

        Raises
        ------
        Refused
            Where the request cannot be written.
        """
        try:
            if not (self._requests.time(relative) and self.state(relative).under_way):
                self._requests.put(relative)
        except OSError as error:
            raise Refused("busy", f"the request could not be written ({error.strerror}); try again later") from error
        return self.state(relative, slide)

    def state(self, relative: Path, slide: Found | None = None) -> JobState:
        """Return how far a slide is; where it is given as it was found, an end counts only if it is still the same."""
        asked, entry, works = self._requests.time(relative), self._entry(relative), holder(self._output) is not None
        if entry and entry.state == "running" and works:
            return JobState("running", seconds=round(time.time() - (entry.begun or time.time())))
        if entry and entry.state in ("done", "failed") and (entry.ended or 0) >= asked:
            # A later request of which nothing came says more than an earlier end.
            why = self._requests.failure(relative)
            return JobState("failed", why.reason, why.message) if why else self._ended(entry, relative, slide)
        if asked or (works and entry and entry.state == "waiting"):
            return self._waiting(entry, relative, other=works and not claimed(self._requests.lock))
        why = self._requests.failure(relative)
        return JobState("failed", why.reason, why.message) if why else JobState("none")

    def changes(self, relative: Path, slide: Found | None = None) -> AsyncIterator[JobState]:
        """Return how far a slide is, whenever that changes, until nothing more is done for it."""
        return changes(lambda: self.state(relative, slide))

    def start(self) -> None:
        """Begin to do what is asked for."""
        self._thread.start()

    def close(self) -> None:
        """Stop; what is not done is done when the service runs again."""
        self._stop.set()
        self._thread.join()

    def __enter__(self) -> Jobs:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _entry(self, relative: Path) -> Entry | None:
        try:
            with Ledger(self._output / ledgers.NAME, read_only=True) as ledger:
                return ledger.find(relative)
        except LedgerError:  # there is none yet, or it is being written
            return None

    def _ended(self, entry: Entry, relative: Path, slide: Found | None) -> JobState:
        if slide and _replaced(slide, entry):
            return JobState("none", "stale", "the slide was replaced since it was flattened; ask for it again")
        seconds = round(entry.seconds or 0)
        if entry.state == "done":
            warnings = tuple(self._told(warning, relative) for warning in entry.warnings)
            return JobState("done", seconds=seconds, output=shown(entry.output), warnings=warnings)
        return JobState("failed", entry.reason, self._told(entry.message, relative), seconds)

    def _waiting(self, entry: Entry | None, relative: Path, *, other: bool) -> JobState:
        if other:
            return JobState("waiting", "occupied", "another batch works in the output folder; it goes first")
        if entry and entry.state == "waiting" and entry.reason:
            return JobState("waiting", entry.reason, self._told(entry.message, relative))
        return JobState("waiting")

    def _told(self, message: str, relative: Path) -> str:
        return without_paths(message, self._source / relative, self._source, self._output)

    def _work(self) -> None:
        while not self._stop.wait(_LOOK_S):
            try:
                if not self._requests.next() or holder(self._output):
                    continue
                if claim := Claim.take(self._requests.lock):
                    with claim:
                        self._night()
            except OSError as error:  # the disk may come back
                _LOG.warning("requested slides cannot be flattened now: %s", error.strerror)
            except Exception:  # whatever it is, those that are asked for later are not to wait for ever
                _LOG.exception("requested slides cannot be flattened now")
                self._stop.wait(_REST_S)

    def _night(self) -> None:
        wanted = self._requests.next()
        words = str(self._source), str(self._output), told(self._options)
        memory = resource.getrlimit(resource.RLIMIT_DATA)[1]  # as it is: slides have limits of their own
        command = (sys.executable, "-P", "-m", "planish.serve.flattening", *words)
        task = Task(command, Limits(inf, memory), dict.fromkeys(secrets(), ""))
        outcome = run(task, self._stop.is_set)
        if outcome.code and outcome.end == "itself":
            _LOG.error("a night for requested slides ended with code %d: %s", outcome.code, outcome.complained)
            why = Failure("error", "planish batch itself failed; the service's log says how")
            for relative, asked in wanted.items():
                self._requests.settle(relative, asked, why)


def _replaced(slide: Found, entry: Entry) -> bool:
    """Whether a slide is no longer the one that the ledger knows."""
    try:
        return measured(slide) != (entry.size, entry.mtime_ns)
    except OSError:
        return True
