"""`fuse_dataset`: the views of each time point made one, as the lookup table says."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from planish.errors import SlideError
from planish.lightsheet.dataset import open_dataset
from planish.lightsheet.flatfiles import write_maxima
from planish.lightsheet.fuseoptions import FuseOptions
from planish.lightsheet.fusing import Fuser
from planish.lightsheet.layout import Layout, make_folder
from planish.lightsheet.maxima import maxima
from planish.lightsheet.names import Fused
from planish.lightsheet.overview import draw_overview
from planish.lightsheet.parameters import Parameters, Place
from planish.lightsheet.settingsfile import SOURCE, TABLE, check_settings, save_record, source_key
from planish.lightsheet.steps import Outcome, StepResult, Work
from planish.lightsheet.units import Unit, find_units, without_partner
from planish.lightsheet.volume import open_volume, write_volume
from planish.outputs import check_not_source
from planish.report.record import Run
from planish.threads import Progress

RECORD = "fuse.record.json"


def fuse_dataset(
    source: Path,
    output: Path,
    table: Iterable[Parameters],
    options: FuseOptions | None = None,
    progress: Progress | None = None,
) -> StepResult:
    """Fuse every time point of a corrected data set; what is there already is skipped, what fails is named.

    Memory: see `Fuser`.

    Parameters
    ----------
    source : Path
        Folder of corrected volumes.
    output : Path
        Folder to write into; made if need be.
    table : iterable of Parameters
        As estimated, or smoothed.
    options : FuseOptions, optional
        How.
    progress : callable, optional
        Called with (stage, done, total) in volumes; an exception that it raises cancels.

    Raises
    ------
    SlideError
        Where there is nothing to fuse.
    OptionError
        Where the output was made with other settings.
    """
    options, run = options or FuseOptions(), Run("lightsheet fuse")
    rows = {row.place: row for row in table}
    with run.stage("open"):
        data = open_dataset(source, options.part.specimen)
        looks = [look for look in data.looks if look in options.part]
        units = find_units(source, looks, options.pairs, options.channels)
    check_not_source(source, output / "SPM00")
    make_folder(output)
    arguments = asdict(options) | {
        SOURCE: source_key(source),
        TABLE: {_name(row): asdict(row) for row in rows.values()},
    }
    check_settings(output / RECORD, arguments, overwrite=options.output.overwrite)
    save_record(output / RECORD, run, arguments, {})  # a run that is killed leaves word of its settings
    layout = Layout(output, options.output.format)
    fuser, outcome = Fuser(data, options, layout), Outcome(gaps=[*data.gaps, *without_partner(looks, units)])

    def is_done(unit: Unit) -> bool:
        return layout.volume(unit.fused).exists() and not options.output.overwrite

    def do(unit: Unit) -> None:
        layout.prepare(unit.fused)
        made = fuser.fuse(unit, _rows_of(unit, rows))
        path = layout.volume(unit.fused)
        write_volume(path, made.pixels, options.output.writing(made.voxel_um))
        with open_volume(path) as written:
            write_maxima(layout, unit.fused, maxima(written))

    with run.stage("fuse"):
        Work("fuse", lambda unit: unit.fused.stem, is_done, do).over(units, outcome, progress)
    if options.output.diagnostics:
        draw_overview(layout, [unit.fused for unit in units])
    facts = {"units": len(units), **outcome.facts()}
    return StepResult(outcome, output, output / RECORD, save_record(output / RECORD, run, arguments, facts))


def _name(row: Parameters) -> str:
    cameras = (row.first_camera,) if row.second_camera is None else (row.first_camera, row.second_camera)
    return Fused(row.specimen, row.time, cameras, row.channel).stem


def _rows_of(unit: Unit, rows: dict[Place, Parameters]) -> list[Parameters]:
    for specimen, first, second, channel, time in unit.places:
        if (specimen, first, second, channel, time) not in rows:
            cameras = f"camera {first}" if second < 0 else f"cameras {first} and {second}"
            raise SlideError(
                f"the table has no row for specimen {specimen}, time {time}, {cameras}, channel {channel}; "
                "estimate it, or smooth the table, which fills gaps"
            )
    return [rows[place] for place in unit.places]
