"""`project_volumes`: volumes flattened along each axis, and by focus as slides are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from planish.errors import OptionError
from planish.fuse.stack import fuse_stack
from planish.lightsheet.flatfiles import write_flat
from planish.lightsheet.layout import make_folder
from planish.lightsheet.maxima import maxima
from planish.lightsheet.settingsfile import save_record
from planish.lightsheet.sidecars import PROJECTIONS
from planish.lightsheet.sources import Source, find_sources
from planish.lightsheet.steps import Outcome, StepResult, Work
from planish.report.record import Run
from planish.threads import Progress, cores

RECORD = "project.record.json"


@dataclass(frozen=True, slots=True)
class ProjectOptions:
    """What is projected.

    Attributes
    ----------
    kinds : tuple of str
        Of ``"xy"``, ``"xz"`` and ``"yz"``, which are maxima, and ``"focus"``.
    method : str
        How planes are fused for ``"focus"``, see `planish.fuse_stack`.
    overwrite : bool
        Make anew what is there; else it is skipped.
    jobs : int
        Threads.
    """

    kinds: tuple[str, ...] = PROJECTIONS
    method: str = "soft"
    overwrite: bool = False
    jobs: int = field(default_factory=cores)

    def __post_init__(self) -> None:
        unknown = [kind for kind in self.kinds if kind not in PROJECTIONS]
        if unknown or not self.kinds:
            raise OptionError(f"projections are {', '.join(PROJECTIONS)}, not {', '.join(unknown) or 'none'}")


def project_volumes(
    source: Path, output: Path, options: ProjectOptions | None = None, progress: Progress | None = None
) -> StepResult:
    """Write the projections of a volume, or of each one in a data set, as ``STEM.xyProjection.tif`` and so on.

    Memory: ten planes for the maxima; for focus the volume as stored, and what `fuse_stack` takes.

    Parameters
    ----------
    source : Path
        A volume, or a folder of a data set.
    output : Path
        Folder; made if need be.
    options : ProjectOptions, optional
        What.
    progress : callable, optional
        Called with (stage, done, total) in volumes; an exception that it raises cancels.

    Raises
    ------
    SlideError
        Where there are no volumes.
    """
    options, run = options or ProjectOptions(), Run("lightsheet project")
    with run.stage("open"):
        sources, gaps = find_sources(source)
    make_folder(output)
    outcome = Outcome(gaps=list(gaps))

    def path(each: Source, kind: str) -> Path:
        return output / f"{each.stem}.{kind}Projection.tif"

    def is_done(each: Source) -> bool:
        return not options.overwrite and all(path(each, kind).exists() for kind in options.kinds)

    def do(each: Source) -> None:
        with each.open() as volume:
            _project(volume, options, lambda kind, pixels: write_flat(path(each, kind), pixels))

    with run.stage("project"):
        Work("project", lambda each: each.stem, is_done, do).over(sources, outcome, progress)
    record = save_record(output / RECORD, run, asdict(options), outcome.facts())
    return StepResult(outcome, output, output / RECORD, record)


def _project(volume: Any, options: ProjectOptions, write: Callable[[str, Any], None]) -> None:
    pixels = np.asarray(volume) if "focus" in options.kinds else volume
    wanted: Sequence[str] = [kind for kind in options.kinds if kind != "focus"]
    if wanted:
        found = maxima(pixels)
        for kind in wanted:
            write(kind, getattr(found, kind))
    if "focus" in options.kinds:
        write("focus", fuse_stack(pixels, options.method, jobs=options.jobs).image)
