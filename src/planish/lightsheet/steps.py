"""One step over many time points, of which none depends on another: what is done stays, what fails is named."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from planish.errors import Cancelled, PlanishError
from planish.report.record import RunRecord
from planish.threads import Progress

Task = TypeVar("Task")


@dataclass
class Outcome:
    """How a step went.

    Attributes
    ----------
    done, skipped : list of str
        Names of what was made now, and of what was there already.
    failed : dict of str
        Name and reason.
    gaps : list of str
        What is missing in the input, in plain words.
    """

    done: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    gaps: list[str] = field(default_factory=list)

    def facts(self) -> Mapping[str, Any]:
        """Return it as a record has it."""
        return {"done": len(self.done), "skipped": len(self.skipped), "failed": self.failed, "gaps": self.gaps}


@dataclass(frozen=True)
class StepResult:
    """A step that is over: how it went, where its output and its record lie."""

    outcome: Outcome
    output: Path
    record_path: Path
    record: RunRecord


@dataclass(frozen=True)
class Work(Generic[Task]):
    """What is done for each task.

    Attributes
    ----------
    stage : str
        As progress names it.
    name : callable
        (task) -> its name.
    is_done : callable
        (task) -> whether there is nothing to do.
    do : callable
        (task) -> None; a `PlanishError` fails this task only.
    """

    stage: str
    name: Callable[[Task], str]
    is_done: Callable[[Task], bool]
    do: Callable[[Task], None]

    def over(self, tasks: Iterable[Task], outcome: Outcome, progress: Progress | None = None) -> None:
        """Work through tasks, one after the other; threads are for within a volume, which bounds the memory."""
        every: Sequence[Task] = list(tasks)
        for done, task in enumerate(every):
            if progress:
                progress(self.stage, done, len(every))
            self._one(task, outcome)
        if progress and every:
            progress(self.stage, len(every), len(every))

    def _one(self, task: Task, outcome: Outcome) -> None:
        name = self.name(task)
        if self.is_done(task):
            outcome.skipped.append(name)
            return
        try:
            self.do(task)
        except Cancelled:
            raise
        except (PlanishError, OSError, MemoryError) as error:
            outcome.failed[name] = str(error) or type(error).__name__
        else:
            outcome.done.append(name)
        finally:
            # This task's volumes, which threads or an error may still hold, must not stand beside the next one's.
            gc.collect()
