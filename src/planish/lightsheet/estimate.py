"""`estimate_dataset`: the lookup table of a corrected data set."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

from planish.errors import OptionError, SlideError
from planish.files import check_output
from planish.lightsheet.correct import backgrounds_of
from planish.lightsheet.dataset import open_dataset
from planish.lightsheet.estimation import estimate_unit
from planish.lightsheet.fuseoptions import EstimateOptions
from planish.lightsheet.layout import make_folder
from planish.lightsheet.parameters import Parameters, read_table, write_table
from planish.lightsheet.settingsfile import SOURCE, check_settings, save_record, source_key
from planish.lightsheet.steps import Outcome, StepResult, Work
from planish.lightsheet.units import Unit, find_units, without_partner
from planish.outputs import beside
from planish.report.record import Run
from planish.threads import Progress


def estimate_dataset(
    source: Path, table: Path, options: EstimateOptions | None = None, progress: Progress | None = None
) -> StepResult:
    """Estimate how the views of each time point lie to each other, and write the table.

    The table is written anew after each time point, and time points that it has already are skipped.

    Parameters
    ----------
    source : Path
        Folder of corrected volumes.
    table : Path
        CSV to write; its record lies beside it.
    options : EstimateOptions, optional
        How.
    progress : callable, optional
        Called with (stage, done, total) in time points; an exception that it raises cancels.

    Raises
    ------
    SlideError
        Where there is nothing to fuse, or the table that is there is none.
    OptionError
        Where it was made with other settings.
    """
    options, run = options or EstimateOptions(), Run("lightsheet estimate")
    if table.suffix.lower() != ".csv":
        raise OptionError(f"{table}: the table is written as CSV; give a name that ends in .csv")
    record_path = beside(table, "record.json")
    with run.stage("open"):
        data = open_dataset(source, options.part.specimen)
        looks = [look for look in data.looks if look in options.part]
        if not looks:
            raise SlideError(
                f"{source}: none of its time points is meant; there are {data.times[0]} to {data.times[-1]}"
            )
        units = find_units(source, looks, options.pairs, options.channels)
    make_folder(table.parent)
    check_output(table, overwrite=True)
    arguments = asdict(options) | {SOURCE: source_key(source)}
    check_settings(record_path, arguments, overwrite=options.overwrite or not table.exists())
    save_record(record_path, run, arguments, {})  # a run that is killed leaves word of its settings
    rows = {} if options.overwrite or not table.exists() else {row.place: row for row in read_table(table)}
    backgrounds = backgrounds_of(source)
    outcome = Outcome(gaps=[*data.gaps, *without_partner(looks, units)])

    def is_done(unit: Unit) -> bool:
        return all(place in rows for place in unit.places)

    def do(unit: Unit) -> None:
        for row in estimate_unit(data, unit, options):
            rows[row.place] = _with_backgrounds(row, unit, backgrounds)
        write_table(table, rows.values(), overwrite=True)

    with run.stage("estimate"):
        Work("estimate", lambda unit: unit.fused.stem, is_done, do).over(units, outcome, progress)
    facts = {"rows": len(rows), **outcome.facts()}
    return StepResult(outcome, table, record_path, save_record(record_path, run, arguments, facts))


def _with_backgrounds(row: Parameters, unit: Unit, backgrounds: dict[str, float]) -> Parameters:
    channel = unit.channels.index(row.channel)
    known = [backgrounds.get(unit.look(camera, channel).stem, float("nan")) for camera in range(len(unit.cameras))]
    return replace(row, first_background=known[0], second_background=known[-1] if len(known) > 1 else float("nan"))
