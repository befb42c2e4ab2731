"""A program of its own: a night for those slides alone that were asked for.

``python -m planish.serve.flattening SOURCE OUTPUT OPTIONS``; the options are `told` of `BatchOptions`.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path

from planish.batch import ledger as ledgers
from planish.batch.ledger import Ledger
from planish.batch.lock import Occupied
from planish.batch.night import run_night
from planish.batch.options import BatchOptions
from planish.batch.reasons import Failure
from planish.errors import PlanishError
from planish.serve.requests import Requests
from planish.serve.words import without_paths

_NICENESS = 10
"""Whoever looks at slides goes first."""


def told(options: BatchOptions) -> str:
    """Return what `main` understands of options: what is set for every slide."""
    given = asdict(options)
    return json.dumps({name: given[name] for name in _TOLD})


_TOLD = ("jobs", "settings", "seconds", "memory", "reserve", "retries", "retry_wait")


def main(arguments: Sequence[str]) -> int:
    """Do what is asked for now; what cannot be done because of another batch, or is stopped, waits."""
    source, output = map(Path, arguments[:2])
    given = json.loads(arguments[2])
    options = BatchOptions(**{**given, "settings": tuple(given["settings"])})
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    os.nice(_NICENESS)
    requests = Requests(output)
    wanted = requests.next()
    if wanted:
        why = _night(source, output, replace(options, only=tuple(wanted), retry_failed=True), stop)
        if why and why.may_pass:
            return 0
        known = _known(output, wanted)
        for relative, asked in wanted.items():
            missing = None if relative in known else Failure("not found", "the slide is no longer there")
            requests.settle(relative, asked, why or missing)
    return 0


def _night(source: Path, output: Path, options: BatchOptions, stop: threading.Event) -> Failure | None:
    """Run it; return why there was none, or why it ended too early."""
    try:
        ending = run_night(source, output, options, (), stop)
    except Occupied:
        return Failure("occupied", "another batch works there", may_pass=True)
    except PlanishError as error:
        return Failure("refused", without_paths(str(error), source, output))
    return Failure("stopped", "the service was stopped", may_pass=True) if ending.interrupted else None


def _known(output: Path, wanted: Iterable[Path]) -> set[Path]:
    """Return those slides of which the ledger tells how they ended."""
    with suppress(PlanishError), Ledger(output / ledgers.NAME, read_only=True) as ledger:
        found = {relative: ledger.find(relative) for relative in wanted}
        return {relative for relative, entry in found.items() if entry and entry.state in ("done", "failed")}
    return set()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
