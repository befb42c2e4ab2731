"""`smooth_table`: a lookup table without what jumps, and without gaps."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from planish.files import check_output
from planish.lightsheet.overview import draw_table
from planish.lightsheet.parameters import read_table, write_table
from planish.lightsheet.series import SeriesOptions, smooth
from planish.lightsheet.settingsfile import save_record
from planish.lightsheet.steps import Outcome, StepResult
from planish.outputs import beside, check_not_source
from planish.report.record import Run


def smooth_table(
    source: Path, target: Path, options: SeriesOptions | None = None, *, overwrite: bool = False, picture: bool = True
) -> StepResult:
    """Smooth a table over time and write the result, its record, and a picture of both.

    Parameters
    ----------
    source, target : Path
        CSV.
    options : SeriesOptions, optional
        How.
    overwrite : bool
        Replace a table that is there.
    picture : bool
        Whether to draw ``TARGET.png``.

    Raises
    ------
    SlideError
        Where the source is no table.
    WriteError
        Where the target is there, or is the source.
    """
    options, run = options or SeriesOptions(), Run("lightsheet smooth")
    check_not_source(source, target)
    check_output(target, overwrite=overwrite)
    before = read_table(source)
    after = smooth(before, options)
    write_table(target, after, overwrite=overwrite)
    if picture and before:
        draw_table(target.with_suffix(".png"), before, after)
    there = {(row.series, row.time) for row in before}
    outcome = Outcome(done=[target.name])
    filled = sorted(row.time for row in after if (row.series, row.time) not in there)
    if filled:
        outcome.gaps.append(f"{source}: no rows of time points {', '.join(map(str, filled))}, which were interpolated")
    outcome.gaps += [f"time point {row.time}: {row.note}" for row in after if row.note and row.note != "interpolated"]
    record_path = beside(target, "record.json")
    facts = {"rows_before": len(before), "rows": len(after), **outcome.facts()}
    return StepResult(outcome, target, record_path, save_record(record_path, run, asdict(options), facts))
