"""`Best`: the plane map by which the best of a slide is put together, made when it is first asked for, and kept."""

from __future__ import annotations

import hashlib
import logging
import sys
import threading
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from planish._version import __version__
from planish.batch.command import THREAD_VARIABLES
from planish.batch.job import sweep
from planish.batch.process import Task, run
from planish.batch.reasons import Failure, failure
from planish.batch.walk import below
from planish.files import TAG_VARIABLE
from planish.serve.bestoptions import BestOptions
from planish.serve.beststate import BestState
from planish.serve.changes import changes
from planish.serve.claim import Claim
from planish.serve.process import secrets
from planish.serve.smallfile import put
from planish.serve.store import Store, default_folder
from planish.serve.wanted import Refused
from planish.serve.words import without_paths

MOST_WAITING = 64
"""Slides, in one web process."""
_TURN_WAIT_S = 0.1
_FRESH_S = 1.0
"""For which a map that was there counts as there."""
_LOG = logging.getLogger(__name__)


class Best:
    """A context manager. Everything but `changes` is quick, and can be called from any thread.

    Of several web processes that share the folder one makes a map, in a process of its own that a slide can at worst
    take down; the others see how far it is.

    Parameters
    ----------
    folder : Path, optional
        Of the cache; the user's own by default.
    options : BestOptions
        How.

    Raises
    ------
    WriteError
        Where the folder cannot be used.
    """

    def __init__(self, folder: Path | None = None, options: BestOptions | None = None) -> None:
        self.options = options or BestOptions()
        self._meaning = f"{self.options.meaning()}\0{__version__}"
        self._store = Store(folder or default_folder(), self.options.most_bytes)
        self._seen: dict[str, tuple[float, str, BestState]] = {}
        self._stopped = threading.Event()
        # Its threads live as long as the pool: processes are told to die with the thread that started them.
        self._pool = ThreadPoolExecutor(self.options.turns(), thread_name_prefix="planish-best")
        self._free = threading.BoundedSemaphore(MOST_WAITING)

    def state(self, path: str, signature: str) -> BestState:
        """Return how far the map is of a slide, whose signature changes with the file."""
        return self._store.look(self._key(path, signature))

    def known(self, path: str, signature: str) -> BestState | None:
        """Return that the map is ready where that was seen a moment ago, without a look at the disk."""
        at, seen, state = self._seen.get(path, (-_FRESH_S, "", None))
        return state if seen == signature and time.monotonic() - at < _FRESH_S else None

    def begin(self, path: str, signature: str, size: int = 0) -> BestState:
        """Have the map made unless it is there, being made, or failed a short while ago.

        Parameters
        ----------
        path, signature : str
            Of the slide.
        size : int
            Bytes of all files of the slide, by which the limits are set; else what lies at `path` counts.

        Raises
        ------
        Refused
            Where too many wait, or the cache cannot be written.
        """
        key = self._key(path, signature)
        if (state := self._store.look(key)).state != "none":
            if state.state == "ready":
                self._seen[path] = time.monotonic(), signature, state
            return state
        try:
            self._begin(key, Path(path), size)
        except (OSError, RuntimeError) as error:  # the disk; or the service is ending
            raise Refused("busy", "no survey can be begun now; try again later") from error
        return self._store.look(key)

    def changes(self, path: str, signature: str) -> AsyncIterator[BestState]:
        """Return how far it is, whenever that changes, until it is ready, has failed, or nobody works on it."""
        return changes(lambda: self.state(path, signature))

    def close(self) -> None:
        """End what is being made; another process may begin it anew."""
        self._stopped.set()
        self._pool.shutdown()

    def __enter__(self) -> Best:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _key(self, path: str, signature: str) -> str:
        named = "\0".join((path, signature, self._meaning))
        return hashlib.sha256(named.encode("utf-8", "surrogateescape")).hexdigest()

    def _begin(self, key: str, path: Path, size: int) -> None:
        if not self._free.acquire(blocking=False):
            raise Refused("busy", f"{MOST_WAITING} slides wait for their survey; try again later")
        claim = None
        try:
            claim = self._store.claim(key)
            if claim and self._store.settled(key).state == "none":
                self._store.clear(key)
                put(self._store.progress(key), {"stage": "waiting"})
                self._pool.submit(self._work, key, path, size, claim)
                return
        except BaseException:
            self._let_go(key, claim)
            raise
        self._let_go(key, claim)

    def _let_go(self, key: str, claim: Claim | None) -> None:
        self._free.release()
        if claim:
            self._store.progress(key).unlink(missing_ok=True)
            claim.release()

    def _work(self, key: str, path: Path, size: int, claim: Claim) -> None:
        """Wait for a turn, and make the map; in a thread of the pool."""
        try:
            if turn := self._turn():
                with turn:
                    why = self._survey(key, path, size)
                if why is None:
                    self._store.trim(keep=key)
                elif why.reason != "stopped":
                    wait = self.options.short_wait if why.may_pass else self.options.wait
                    self._store.fail(key, why, wait)
        except OSError as error:
            _LOG.warning("a survey's end could not be noted: %s", error.strerror)
        finally:
            self._let_go(key, claim)

    def _turn(self) -> Claim | None:
        """Wait for one of the turns that all processes share; None where the service ends."""
        while not self._stopped.wait(_TURN_WAIT_S):
            for number in range(self.options.turns()):
                if turn := self._store.turn(number):
                    return turn
        return None

    def _survey(self, key: str, path: Path, size: int) -> Failure | None:
        words = str(path), str(self._store.map(key)), str(self._store.progress(key)), self.options.to_json()
        threads = dict.fromkeys(THREAD_VARIABLES, str(self.options.survey.jobs))
        task = Task(
            (sys.executable, "-P", "-m", "planish.serve.survey", *words),
            self.options.limits(max(size, _size(path))),
            {**threads, **dict.fromkeys(secrets(), ""), TAG_VARIABLE: key},
        )
        try:
            why = failure(task, run(task, self._stopped.is_set))
        except OSError as error:
            return Failure("input/output", f"no process could be started ({error.strerror})", may_pass=True)
        finally:
            sweep(self._store.folder, key)
        return why and replace(why, message=without_paths(why.message, path, self._store.folder))


def _size(path: Path) -> int:
    """Return the bytes of a file, or of all files in a folder that is a slide."""
    try:
        return sum(facts.st_size for facts in below(path)) if path.is_dir() else path.stat().st_size
    except OSError:
        return 0  # the survey says what is wrong
