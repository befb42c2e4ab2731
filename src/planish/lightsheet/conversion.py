"""`convert_volumes`: volumes from one format into another, without loss."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from planish.errors import OptionError
from planish.files import check_output
from planish.lightsheet.correct import MASK
from planish.lightsheet.layout import FORMATS, Layout, make_folder
from planish.lightsheet.lazyvolume import Volume
from planish.lightsheet.settingsfile import save_record
from planish.lightsheet.sidecars import Sidecars
from planish.lightsheet.sources import Source, find_sources, is_data_set
from planish.lightsheet.steps import Outcome, StepResult, Work
from planish.lightsheet.volume import VolumeOptions, write_volume
from planish.outputs import beside, check_not_source
from planish.report.record import Run
from planish.threads import Progress

RECORD = "convert.record.json"


@dataclass(frozen=True)
class ConvertVolumesOptions:
    """How volumes are converted.

    Attributes
    ----------
    format : str
        ``"zarr"``, ``"klb"`` or ``"tif"``, for data sets; the name of a single output tells its own.
    writing : VolumeOptions
        How they are written; a voxel size in it goes before the volume's own.
    """

    format: str = "zarr"
    writing: VolumeOptions = field(default_factory=VolumeOptions)

    def __post_init__(self) -> None:
        if self.format not in FORMATS:
            raise OptionError(f"volumes are written as {', '.join(FORMATS)}, not {self.format!r}")


def convert_volumes(
    source: Path, output: Path, options: ConvertVolumesOptions | None = None, progress: Progress | None = None
) -> StepResult:
    """Convert a volume into a file, or each one of a data set into a folder; masks go with them.

    Memory: some slabs of planes, see `write_volume`.

    Parameters
    ----------
    source : Path
        A volume, or the folder of a data set.
    output : Path
        A file, or a folder where the source is one; there, what is there is skipped.
    options : ConvertVolumesOptions, optional
        How.
    progress : callable, optional
        Called with (stage, done, total) in volumes, or in planes of one; an exception that it raises cancels.

    Raises
    ------
    SlideError
        Where there are no volumes.
    OutputExists
        Where the file is there, and may not be replaced.
    """
    options, run = options or ConvertVolumesOptions(), Run("lightsheet convert")
    check_not_source(source, output)
    with run.stage("open"):
        sources, gaps = find_sources(source)
    outcome = Outcome(gaps=list(gaps))
    many = is_data_set(source)
    if many:
        make_folder(output)
        _all(sources, Layout(output, options.format), options, outcome, run, progress)
    else:
        with run.stage("convert"):
            _one(sources[0], output, options.writing, progress)
        outcome.done.append(sources[0].stem)
    record_path = output / RECORD if many else beside(output, "record.json")
    if not many:
        check_output(record_path, overwrite=True)
    arguments = asdict(replace(options, writing=replace(options.writing, labels={})))
    return StepResult(outcome, output, record_path, save_record(record_path, run, arguments, outcome.facts()))


def _all(
    sources: list[Source],
    layout: Layout,
    options: ConvertVolumesOptions,
    outcome: Outcome,
    run: Run,
    progress: Progress | None,
) -> None:
    def target(each: Source) -> Path:
        assert each.key, "the volumes of a data set are known by their names"
        return layout.volume(each.key)

    def is_done(each: Source) -> bool:
        return target(each).exists() and not options.writing.overwrite

    def do(each: Source) -> None:
        make_folder(target(each).parent)
        # A mask beside the volume may be there, from a run that was stopped.
        _one(each, target(each), replace(options.writing, overwrite=True), None)

    with run.stage("convert"):
        Work("convert", lambda each: each.stem, is_done, do).over(sources, outcome, progress)


def _one(source: Source, target: Path, writing: VolumeOptions, progress: Progress | None) -> None:
    with ExitStack() as stack:
        volume = stack.enter_context(source.open())
        mask = _mask(source)
        labels = {MASK: stack.enter_context(mask)} if mask else {}
        voxel_um = writing.voxel_um or volume.voxel_um
        write_volume(target, volume, replace(writing, voxel_um=voxel_um, labels=labels), progress)


def _mask(source: Source) -> Volume | None:
    """Return the mask that lies in a volume or beside it; one that is damaged is an error."""
    beside = Sidecars(source.path.parent, source.path)
    return beside.labels(MASK) if beside.has_labels(MASK) else None
