"""Where jobs are done: as tasks of a Dask cluster whose workers see the same folders."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import time
from concurrent.futures import CancelledError
from queue import SimpleQueue
from threading import Lock
from typing import Any, Self

from planish._version import __version__
from planish.batch.job import Job, Result, sweep
from planish.batch.reasons import Failure
from planish.batch.remote import Unfit, perform
from planish.batch.runner import drained
from planish.errors import PlanishError

_CONNECT_S = 10.0
_ASK_S = 2.0
"""Patience with the scheduler in between: whoever stops the night must not wait for it."""
_RENEW_S = 5.0
"""Between two questions how many threads there are."""
_GATHER_S = 30.0
_CLOSE_S = 3.0
_ASK_FOR_MORE = 1
"""Jobs beyond what can run at once: only a task that waits makes an adaptive cluster grow."""
_ALIVE = ("running", "connecting")
"""States of a client that works, or may again."""
_STOPPED = Result(Failure("stopped", "the night was stopped", may_pass=True))


class ClusterRunner:
    """One process per job, each started by a task of a Dask cluster.

    A task whose worker dies is done again by another worker. Workers with another planish, or without the folders, are
    given nothing more once that is known.

    Parameters
    ----------
    address : str
        Of the scheduler, e.g. ``tcp://node1:8786``.
    jobs : int
        Slides at once; 0 for as many as the cluster has threads, however many these become.

    Raises
    ------
    PlanishError
        Where the `cluster` extra is missing, nobody answers within 10 s, or scheduler or workers have another planish.
    """

    threads = 1
    """Of each job: a thread of a worker stands for a core."""

    def __init__(self, address: str, jobs: int) -> None:
        self._address, self._jobs = address, jobs
        self._client = _connect(address)
        self._lock = Lock()
        self._running: dict[int, tuple[Job, Any]] = {}
        self._ended: SimpleQueue[tuple[int, Result]] = SimpleQueue()
        self._stopped = False
        self._unfit: set[str] = set()
        self._workers: dict[str, int] = {}
        self._asked = -math.inf
        try:
            self._check_versions()
        except BaseException:
            self._close()
            raise

    @property
    def slots(self) -> int:
        """Jobs that may be begun: as many as was asked for, or as there are threads now and one more.

        None while the connection is lost and Dask tries to have it back.

        Raises
        ------
        PlanishError
            Where the scheduler is gone for good.
        """
        self._check()
        if self._client.status != "running":
            return 0
        return self._jobs or sum(self._fit().values()) + _ASK_FOR_MORE

    def begin(self, number: int, job: Job) -> None:
        """Begin a job; it waits where all workers have work, or there are none."""
        self._check()
        if not self._submit(number, job):
            self._ended.put((number, _STOPPED))

    def ended(self, wait: float) -> list[tuple[int, Result]]:
        """Return the jobs that have ended, see `Runner`."""
        return drained(self._ended, wait)

    def stop(self) -> None:
        """Have all jobs end soon: at once for whoever asks here, within some seconds on the workers."""
        with self._lock:
            self._stopped = True
            running, self._running = self._running, {}
        for number in running:
            self._ended.put((number, _STOPPED))
        if running and self._client.status in _ALIVE:
            self._client.cancel([future for _, future in running.values()])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._close()

    def _close(self) -> None:
        # The scheduler drops what a client had, so nothing goes on for one that is gone.
        with contextlib.suppress(TimeoutError):
            self._client.close(timeout=_CLOSE_S)

    def _submit(self, number: int, job: Job) -> bool:
        """Hand a job over, unless all is to end; return whether that was done."""
        fit = list(self._fit()) if self._unfit else []
        with self._lock:
            if self._stopped:
                return False
            future = self._client.submit(
                perform, job, __version__, pure=False, workers=fit or None, allow_other_workers=bool(fit)
            )
            self._running[number] = job, future
        self._await(number, job, future)
        return True

    def _await(self, number: int, job: Job, future: Any) -> None:
        future.add_done_callback(lambda done: self._take(number, job, done))

    def _take(self, number: int, job: Job, future: Any) -> None:
        """Take what came of a job; called by a thread of Dask's."""
        try:
            result = future.result(timeout=_GATHER_S)
        except Unfit as error:
            self._unfit.add(error.worker)
            self._asked = -math.inf  # workers that came a moment ago count, before there is said to be none
            if self._fit() and self._submit(number, job):
                return
            result = Result(Failure("worker unfit", str(error), may_pass=True))
        except Exception as error:
            if isinstance(error, TimeoutError) and future.status != "error":
                self._await(number, job, future)  # the worker died with what it had done, and another does it again
                return
            result = Result(self._failure(error))
        if job.output:
            sweep(job.output.parent, job.tag)  # of runs that died with their worker, or go on without counting
        with self._lock:
            if self._running.pop(number, None):
                self._ended.put((number, result))

    def _failure(self, error: Exception) -> Failure:
        from distributed import KilledWorker

        if isinstance(error, KilledWorker):
            tries, last = error.allowed_failures + 1, error.last_worker.address
            return Failure("worker lost", f"{tries} workers died while they worked on it, {last} last", may_pass=True)
        if isinstance(error, CancelledError):
            return Failure("worker lost", f"{self._address}: the connection to the scheduler was lost", may_pass=True)
        if isinstance(error, ImportError):
            return Failure("worker unfit", f"a worker has no planish, or another one ({error})", may_pass=True)
        return Failure("error", f"the worker could not do it: {error!r}")

    def _fit(self) -> dict[str, int]:
        """Return the threads of each worker that can do the work, as of some seconds ago."""
        if time.monotonic() - self._asked > _RENEW_S and self._client.status == "running":
            # Where nobody answers, Dask tries to connect again; what was known holds until then.
            with contextlib.suppress(OSError, TimeoutError):
                self._workers = dict(self._client.nthreads(callback_timeout=_ASK_S))
            self._asked = time.monotonic()
        return {worker: threads for worker, threads in self._workers.items() if worker not in self._unfit}

    def _check(self) -> None:
        if self._client.status not in _ALIVE:
            raise PlanishError(f"{self._address}: the scheduler is gone; start it and run the same command again, "
                               "which goes on from here")  # fmt: skip

    def _check_versions(self) -> None:
        found: dict[str, Any] = self._client.get_versions(packages=["planish"])
        ours = found["client"]["packages"]["planish"]
        # The scheduler, too, unpacks what is sent to the workers.
        for who, facts in {"the scheduler": found["scheduler"], **found["workers"]}.items():
            if (theirs := facts["packages"]["planish"]) != ours:
                has = f"has planish {theirs}" if theirs else "does not have planish"
                raise PlanishError(f"{self._address}: {who} {has}, this machine has {ours}; install the same")


def _connect(address: str) -> Any:
    """Return a client of Dask's, most of whose methods have no types."""
    try:
        from distributed import Client, Security
        from distributed.comm.core import connect
    except ImportError as error:
        raise PlanishError("--cluster needs Dask: install it with pip install 'planish[cluster]'") from error
    _silence()

    async def answer() -> None:
        # First without a client: one that fails to begin says so once more when it is forgotten, with a traceback.
        configured: Any = Security
        begin: Any = connect
        comm = await begin(address, timeout=_CONNECT_S, **configured().get_connection_args("client"))
        await comm.close()

    try:
        asyncio.run(answer())
        client: Any = Client
        return client(address, timeout=_CONNECT_S, set_as_default=False)
    except (OSError, TimeoutError) as error:
        raise PlanishError(f"{address}: no Dask scheduler answers there within {_CONNECT_S:.0f} s; check the address, "
                           "and that it is running") from error  # fmt: skip
    except (ValueError, TypeError, ImportError, RuntimeError) as error:
        raise PlanishError(f"{address}: is no address of a Dask scheduler ({error}); give one like "
                           "tcp://node1:8786") from error  # fmt: skip


def _silence() -> None:
    """Keep Dask from writing to standard error: what goes wrong is told in results."""
    for name in list(logging.root.manager.loggerDict):
        if name.split(".")[0] in ("distributed", "tornado"):
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)
