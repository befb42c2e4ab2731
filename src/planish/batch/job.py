"""One slide's work, wherever it is done: the process, and then a look at what it wrote."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from planish.batch.process import Task, run
from planish.batch.reasons import Failure, failure, printed
from planish.errors import PlanishError
from planish.files import PREFIX, TAG_VARIABLE

_CHUNK = 4 << 20


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be done for one slide; it can be sent to another machine that sees the same folders.

    Attributes
    ----------
    task : Task
        The command.
    source : Path
        What it reads.
    output, heatmap : Path or None
        What it writes; None for a command that writes nothing.
    tag : str
        What the names of its temporary files begin with, so that they can be told from others'.
    """

    task: Task
    source: Path
    output: Path | None = None
    heatmap: Path | None = None
    tag: str = ""


@dataclass(frozen=True, slots=True)
class Written:
    """A flat slide as it lies there: bytes, SHA-256, and small JPEGs of it and of its heatmap."""

    size: int
    sha256: str
    pictures: tuple[bytes, bytes] | None


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a job; either `failure`, or the record that was printed, and what was written."""

    failure: Failure | None
    seconds: float = 0.0
    peak_memory: int = 0
    record: dict[str, Any] | None = None
    written: Written | None = None


def work(job: Job, stopped: Callable[[], bool]) -> Result:
    """Do a job; nothing temporary is left, however the process ended."""
    try:
        outcome = run(_tagged(job), stopped)
    except OSError as error:  # too many processes, or no memory for another
        return Result(Failure("input/output", f"no process could be started ({error.strerror})", may_pass=True))
    finally:
        if job.output:
            sweep(job.output.parent, job.tag)
    why = failure(job.task, outcome)
    written = None
    if why is None and job.output:
        try:
            written = look(job.output, job.heatmap, stopped)
        except (OSError, PlanishError) as error:
            why = Failure("writing", f"what was written cannot be read: {error}", may_pass=True)
    return Result(why, outcome.seconds, outcome.peak_memory, None if why else printed(outcome), written)


def _tagged(job: Job) -> Task:
    return Task(job.task.command, job.task.limits, {**job.task.environment, TAG_VARIABLE: job.tag})


@contextmanager
def tagged(tag: str) -> Iterator[None]:
    """Tag the temporary files that this process writes in the block, to be swept where it is killed."""
    before = os.environ.get(TAG_VARIABLE)
    os.environ[TAG_VARIABLE] = tag
    try:
        yield
    finally:
        os.environ.pop(TAG_VARIABLE)
        if before is not None:
            os.environ[TAG_VARIABLE] = before


def look(output: Path, heatmap: Path | None, stopped: Callable[[], bool] = lambda: False) -> Written:
    """Return size, hash and small pictures of what was written.

    Raises
    ------
    OSError, PlanishError
        Where it cannot be read.
    """
    from planish.batch.thumbnails import pictures_of

    return Written(output.stat().st_size, sha256(output, stopped), pictures_of(output, heatmap) if heatmap else None)


def sha256(path: Path, stopped: Callable[[], bool] = lambda: False) -> str:
    """Return a file's SHA-256, or an empty text where `stopped` said so meanwhile."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            if stopped():
                return ""
            digest.update(chunk)
    return digest.hexdigest()


def sweep(folder: Path, tag: str = "") -> None:
    """Remove the temporary files of one job from a folder, of all jobs where no tag is given."""
    try:
        left = [path for path in folder.iterdir() if path.name.startswith(f"{PREFIX}{tag}")]
    except OSError:
        return
    for path in left:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
