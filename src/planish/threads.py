"""Long work: rows of tiles side by side in threads that are always waited for, also when the caller stops early."""

from __future__ import annotations

import os
import threading
import warnings
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

import joblib

Result = TypeVar("Result")

Progress = Callable[[str, int, int], None]
"""Told of long work as (stage, done, total), from the caller's own thread; an exception that it raises cancels."""


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def in_threads(
    function: Callable[..., Result], tasks: Iterable[tuple[Any, ...]], jobs: int, *, ordered: bool = False
) -> Iterator[Iterator[Result]]:
    """Call a function with each task in up to `jobs` threads; give the results as they come, or in order.

    Only `jobs` tasks are in flight, and when ordered about as many results wait, which bounds the memory. Leaving the
    block early drops the tasks that have not begun, and waits for those that have.
    """
    gate = _Gate(function)
    results = (_in_order if ordered else _as_they_come)(gate, tasks, jobs)
    try:
        yield results
    finally:
        gate.close()
        with warnings.catch_warnings():
            # joblib warns of results that nobody took; here that is a cancellation, and meant.
            warnings.filterwarnings("ignore", category=UserWarning, module="joblib")
            results.close()


def each_in_threads(function: Callable[[int], object], count: int, jobs: int | None) -> None:
    """Call a function with each number below `count`, in threads (None for one per core), and wait for all."""
    with in_threads(function, ((index,) for index in range(count)), jobs or cores()) as results:
        for _ in results:
            pass


def _as_they_come(gate: _Gate[Result], tasks: Iterable[tuple[Any, ...]], jobs: int) -> Generator[Result, None, None]:
    parallel = joblib.Parallel(n_jobs=jobs, prefer="threads", return_as="generator_unordered", pre_dispatch="n_jobs")
    yield from parallel(joblib.delayed(gate)(*task) for task in tasks)


def _in_order(gate: _Gate[Result], tasks: Iterable[tuple[Any, ...]], jobs: int) -> Generator[Result, None, None]:
    """Keep `jobs` tasks beyond the one waited for; joblib would go on and let results pile up behind a slow disk."""
    with ThreadPoolExecutor(jobs) as pool:
        waiting: deque[Future[Any]] = deque()
        for task in tasks:
            waiting.append(pool.submit(gate, *task))
            if len(waiting) > jobs:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


class _Gate(Generic[Result]):
    """Lets calls through until it is closed, and knows when the last one is done.

    joblib's threads are daemons, which it does not join: one that still decodes while the file is closed, or while the
    interpreter ends, would crash it.
    """

    def __init__(self, function: Callable[..., Result]) -> None:
        self._function = function
        self._inside, self._closed = 0, False
        self._changed = threading.Condition()

    def __call__(self, *task: Any) -> Result | None:
        with self._changed:
            if self._closed:
                return None
            self._inside += 1
        try:
            return self._function(*task)
        finally:
            with self._changed:
                self._inside -= 1
                self._changed.notify_all()

    def close(self) -> None:
        """Let nobody in any more, and wait for those inside."""
        with self._changed:
            self._closed = True
            self._changed.wait_for(lambda: not self._inside)
