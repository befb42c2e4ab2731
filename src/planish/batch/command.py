"""The command that flattens one slide: what a process runs, and what a person would type."""

from __future__ import annotations

import json
import secrets
import shlex
import sys
from dataclasses import dataclass, replace
from pathlib import Path

from planish.batch.entry import Entry
from planish.batch.job import Job
from planish.batch.options import BatchOptions
from planish.batch.process import Task
from planish.batch.resume import TAG
from planish.outputs import beside

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VIPS_CONCURRENCY")
"""Of libraries that would take all cores for themselves, beside the other slides."""
_PROBE_S = 60.0
_PLANISH = (sys.executable, "-P", "-m", "planish.cli")
"""-P: whatever lies in the current directory is none of its modules."""


@dataclass(frozen=True, slots=True)
class Commands:
    """Makes the commands of a night.

    Attributes
    ----------
    source, output : Path
        The folders, absolute.
    options : BatchOptions
        Limits and settings.
    threads : int
        Of each process.
    """

    source: Path
    output: Path
    options: BatchOptions
    threads: int

    def flatten(self, entry: Entry, relative: Path) -> Job:
        """Return the job that flattens a slide; its files appear whole or not at all, and replace earlier ones."""
        flat = self.output / entry.output
        heatmap = beside(flat, "heatmap.png")
        command = (*_PLANISH, "flatten", str(self.source / relative), str(flat), "--heatmap", str(heatmap),
                   "--overwrite", "--json", "--quiet", "--jobs", str(self.threads), *self.options.settings)  # fmt: skip
        return Job(
            self._task(command, entry), self.source / relative, flat, heatmap, f"{TAG}{entry.id}-{secrets.token_hex(4)}"
        )

    def verify(self, entry: Entry, relative: Path) -> Job:
        """Return the job that compares all of a flat slide with its source."""
        command = (*_PLANISH, "verify", str(self.output / entry.output), str(self.source / relative), "--all", "--json")
        return Job(self._task(command, entry), self.source / relative)

    def probe(self, path: Path, size: int) -> Job:
        """Return the job that opens a slide and closes it again."""
        command = (*_PLANISH, "info", str(path), "--json")
        limits = self.options.limits(size)
        limits = replace(limits, seconds=min(limits.seconds, _PROBE_S))
        return Job(Task(command, limits, self._environment()), path)

    def typed(self, entry: Entry, relative: Path) -> str:
        """Return the command that a person would type to do a slide again, as a line for a shell."""
        flat = self.output / entry.output
        heatmap = beside(flat, "heatmap.png")
        words = ["planish", "flatten", self.source / relative, flat, "--heatmap", heatmap, "--overwrite"]
        return shlex.join([*map(str, words), *json.loads(entry.settings)])

    def _task(self, command: tuple[str, ...], entry: Entry) -> Task:
        return Task(command, self.options.limits(entry.size), self._environment())

    def _environment(self) -> dict[str, str]:
        return dict.fromkeys(THREAD_VARIABLES, str(self.threads))
