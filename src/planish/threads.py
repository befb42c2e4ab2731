"""Rows of tiles side by side: joblib threads, ended quietly when the caller stops early."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import joblib

Result = TypeVar("Result")


@contextmanager
def in_threads(
    function: Callable[..., Result], tasks: Iterable[tuple[Any, ...]], jobs: int, *, ordered: bool = False
) -> Iterator[Iterator[Result]]:
    """Call a function with each task in up to `jobs` threads; give the results as they come, or in order.

    Only `jobs` tasks are in flight, and when ordered about as many results wait, which bounds the memory. Leaving the
    block early drops the tasks that have not begun.
    """
    way = "generator" if ordered else "generator_unordered"
    parallel = joblib.Parallel(n_jobs=jobs, prefer="threads", return_as=way, pre_dispatch="n_jobs")
    results = parallel(joblib.delayed(function)(*task) for task in tasks)
    try:
        yield results
    finally:
        with warnings.catch_warnings():
            # joblib warns of results that nobody took; here that is a cancellation, and meant.
            warnings.filterwarnings("ignore", category=UserWarning, module="joblib")
            results.close()
