"""Where jobs are done: here, in threads that each look after one process."""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from queue import Empty, SimpleQueue
from typing import Protocol, Self

from planish.batch.job import Job, Result, work
from planish.batch.reasons import Failure
from planish.threads import cores


class Runner(Protocol):
    """Does jobs, as many at once as it has slots; a context manager."""

    @property
    def slots(self) -> int:
        """How many jobs are done at once."""

    @property
    def threads(self) -> int:
        """How many threads a job may use."""

    def begin(self, number: int, job: Job) -> None:
        """Begin a job; whoever begins more than there are slots has them wait."""

    def ended(self, wait: float) -> list[tuple[int, Result]]:
        """Return the jobs that have ended since the last call; wait for one, but no longer than `wait` seconds."""

    def stop(self) -> None:
        """Have all jobs end soon, as stopped; `ended` still tells of each."""

    def __enter__(self) -> Self:
        """Get ready."""

    def __exit__(self, *_: object) -> None:
        """Stop, and wait for what runs."""


class LocalRunner:
    """One process per job on this machine."""

    def __init__(self, slots: int) -> None:
        self.slots, self.threads = slots, max(1, cores() // slots)
        self._stopped = threading.Event()
        self._ended: SimpleQueue[tuple[int, Result]] = SimpleQueue()
        # Its threads live as long as the pool: processes are told to die with the thread that started them.
        self._pool = ThreadPoolExecutor(slots, thread_name_prefix="planish-job")

    def begin(self, number: int, job: Job) -> None:
        """Begin a job."""
        self._pool.submit(work, job, self._stopped.is_set).add_done_callback(lambda future: self._put(number, future))

    def _put(self, number: int, future: Future[Result]) -> None:
        error = future.exception()
        broken = Result(Failure("error", f"planish itself failed: {error!r}")) if error else None
        self._ended.put((number, broken or future.result()))

    def ended(self, wait: float) -> list[tuple[int, Result]]:
        """Return the jobs that have ended, see `Runner`."""
        return drained(self._ended, wait)

    def stop(self) -> None:
        """Have all jobs end soon."""
        self._stopped.set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._pool.shutdown()


def drained(queue: SimpleQueue[tuple[int, Result]], wait: float) -> list[tuple[int, Result]]:
    """Return what a queue holds; wait for the first, but no longer than `wait` seconds."""
    found = []
    try:
        found.append(queue.get(timeout=wait))
        while True:
            found.append(queue.get_nowait())
    except Empty:
        return found
