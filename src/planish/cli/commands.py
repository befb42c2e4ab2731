"""What each command does: options to calls, results to text."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Callable

from planish.cli.progress import Bars
from planish.convert import ConvertOptions, Outputs, Selection, convert, open_selection
from planish.errors import OptionError
from planish.files import check_output
from planish.focus.options import SurveyOptions
from planish.focus.survey import survey
from planish.fuse.plan import FuseOptions
from planish.planemap import PlaneMap, SurveyRecord
from planish.report.record import describe, format_table
from planish.slide.open import open_slide
from planish.write.tiff import WriteOptions

Command = Callable[[Namespace], None]


def info(options: Namespace) -> None:
    """Print what a slide holds."""
    with open_slide(options.slide) as slide:
        description = describe(slide, source_name=True)
    print(json.dumps(description, indent=2, allow_nan=False) if options.json else format_table(description))


def flatten(options: Namespace) -> None:
    """Flatten one slide, then say what came of it."""
    chosen = ConvertOptions(
        selection=_selection(options),
        survey=_survey_options(options),
        fuse=FuseOptions(options.fuse),
        write=WriteOptions(options.write, options.quality, options.overwrite, options.jobs),
        map_path=options.map,
        source_name=options.source_name,
    )
    with Bars(quiet=options.quiet) as bars:
        outputs = convert(options.slide, options.output, chosen, bars)
    if options.json:
        print(outputs.record.to_json(), end="")
    elif not options.quiet:
        print(summary(outputs))


def heatmap(options: Namespace) -> None:
    """Survey a slide, or take a saved map, and draw it."""
    from planish.report.heatmap import write_heatmap  # matplotlib takes a second to import

    check_output(options.output, overwrite=options.overwrite)
    with open_selection(options.slide, _selection(options)) as slide, Bars(quiet=options.quiet) as bars:
        focus = PlaneMap.load(options.map) if options.map else survey(slide, _survey_options(options), bars)
        write_heatmap(slide, focus, options.output, overwrite=options.overwrite)
    if not options.quiet:
        print(f"heatmap   {options.output}")


def focus(options: Namespace) -> None:
    """Draw a focus image."""
    from planish.report.focus_image import FocusImageOptions, write_focus_image

    chosen = FocusImageOptions(
        sigma=options.sigma,
        mask=options.mask,
        background=options.background,
        threshold=options.threshold,
        plane=options.plane,
    )
    check_output(options.output, overwrite=options.overwrite)
    with open_slide(options.slide) as slide:
        write_focus_image(slide, options.output, chosen, overwrite=options.overwrite)
    print(f"{'mask' if options.mask else 'focus'}   {options.output}")


def demo(options: Namespace) -> None:
    """Make, flatten and judge a phantom slide."""
    from planish.cli.demo import run_demo

    with Bars(quiet=options.quiet) as bars:
        print(run_demo(options.folder, size=options.size, seed=options.seed, jobs=options.jobs, progress=bars))


def summary(outputs: Outputs) -> str:
    """Return what a person wants to know after flattening."""
    record, lines = outputs.record, [f"slide     {outputs.slide}", f"map       {outputs.map}"]
    lines.append(f"record    {outputs.record_path}")
    if record.survey:
        lines += survey_lines(record.survey)
    seconds = record.seconds["total"]
    memory = f", peak memory {record.peak_memory_mib:.0f} MiB" if record.peak_memory_mib else ""
    lines.append(f"done      {seconds:.1f} s{memory}")
    return "\n".join(lines)


def survey_lines(record: SurveyRecord) -> list[str]:
    """Return what a survey did, in lines."""
    lines = [
        f"planes    chosen by {record.scorer} at 1/{record.score_downsample:g}, {record.sampler} ({record.why})",
        f"cells     {record.specimen_cells} specimen ({record.inferred} inferred), {record.glass_cells} glass",
        f"decoded   {record.decoded} of {record.specimen_tile_planes} tile-planes of the specimen",
    ]
    if audit := record.audit:
        lines.append(
            f"audit     {audit.wrong} of {audit.checked} inferred cells wrong "
            f"({audit.confidence:.0%} interval {audit.low:.1%} to {audit.high:.1%})"
        )
    return lines


def _selection(options: Namespace) -> Selection:
    return Selection(options.level, options.region, options.planes)


def _survey_options(options: Namespace) -> SurveyOptions:
    if options.score_level is not None and options.score_level < 0:
        raise OptionError(f"--score-level {options.score_level}: levels count from 0, full size")
    return SurveyOptions(
        scorer=options.scorer,
        score_level=options.score_level,
        step=options.step,
        subtiles=options.subtiles,
        sampler=options.sampler,
        seed=options.seed,
        audit=not options.no_audit,
        jobs=options.jobs,
    )
