"""What a worker of a Dask cluster does for one job."""

from __future__ import annotations

import os
import secrets
import socket
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from planish._version import __version__
from planish.batch.job import Job, Result, work

if TYPE_CHECKING:
    from distributed import Worker


class Unfit(Exception):
    """A worker cannot do any of the work; `worker` is its address."""

    def __init__(self, worker: str, message: str) -> None:
        super().__init__(worker, message)
        self.worker, self._message = worker, message

    def __str__(self) -> str:
        return self._message


def perform(job: Job, version: str) -> Result:
    """Do a job on a worker, with its own interpreter.

    Raises
    ------
    Unfit
        Where planish is of another version than `version`, or a folder is not there.
    """
    from distributed import get_worker

    worker = get_worker()
    if why := _unfit(job, version):
        raise Unfit(worker.address, f"worker {socket.gethostname()} {why}")
    # Dask sets it for its own processes; slides take twice as long with it.
    os.environ.pop("MALLOC_TRIM_THRESHOLD_", None)
    command = (sys.executable, *job.task.command[1:])
    # Dask may do it elsewhere at the same time, where it only believes that this worker is dead: neither run may
    # remove the other's temporary files.
    tag = f"{job.tag}-{secrets.token_hex(4)}"
    return work(replace(job, task=replace(job.task, command=command), tag=tag), _unwanted(worker))


def _unfit(job: Job, version: str) -> str:
    if version != __version__:
        return f"has planish {__version__}, the batch runs {version}; install the same"
    needed = [job.source, *([job.output.parent] if job.output else [])]
    missing = next((path for path in needed if not _seen(path)), None)
    return f"does not see {missing}; mount the same folders at the same place" if missing else ""


def _seen(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # no right to look, or a server that does not answer
        return False


def _unwanted(worker: Worker) -> Callable[[], bool]:
    """Return a function that says whether the running task is of no use any more.

    The scheduler forgets the tasks of a client that cancels them or is gone, and tells the worker, which goes on with
    the thread but notes it. A worker that has lost its scheduler closes.
    """
    from distributed.core import Status

    key = worker.get_current_task()
    alive = (Status.running, Status.paused, Status.closing_gracefully)

    def unwanted() -> bool:
        task = worker.state.tasks.get(key)
        return task is None or task.state not in ("executing", "long-running") or worker.status not in alive

    return unwanted
