"""Pictures of one slide, end to end: heatmap and focus image, each with a record of the run beside it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from planish.convert import Selection, open_selection, side_file
from planish.files import check_output, replacing
from planish.focus.options import SurveyOptions
from planish.focus.survey import survey
from planish.outputs import check_not_source
from planish.planemap import PlaneMap
from planish.report.description import describe
from planish.report.focus_image import FocusImageOptions, focus_picture
from planish.report.heatmap import HeatmapOptions, heatmap
from planish.report.record import Run, RunRecord
from planish.report.thumbnail import check_png, encode_png
from planish.slide.open import open_slide
from planish.threads import Progress


@dataclass(frozen=True, slots=True)
class HeatmapRun:
    """What a heatmap shows.

    Attributes
    ----------
    selection : Selection
        Which part of the slide.
    survey : SurveyOptions
        How planes are chosen.
    map_path : Path or None
        A saved plane map to draw instead of a survey's.
    drawing : HeatmapOptions
        How it is drawn.
    """

    selection: Selection = field(default_factory=Selection)
    survey: SurveyOptions = field(default_factory=SurveyOptions)
    map_path: Path | None = None
    drawing: HeatmapOptions = field(default_factory=HeatmapOptions)


@dataclass(frozen=True)
class Picture:
    """A picture's files, and their record."""

    path: Path
    record_path: Path
    record: RunRecord


def draw_heatmap(
    source: Path,
    output: Path,
    options: HeatmapRun | None = None,
    progress: Progress | None = None,
    *,
    overwrite: bool = False,
) -> Picture:
    """Survey a slide, or take a saved map, and draw which plane is sharp where.

    Parameters
    ----------
    source, output : Path
        The z-stacked slide, and the PNG to write; its record, without any name, is written beside it.
    options : HeatmapRun
        What is shown.
    progress : callable
        Called with (stage, done, total); an exception it raises cancels, and nothing is left behind.
    overwrite : bool
        Whether picture and record may replace others.

    Raises
    ------
    PlanishError
        Where anything fails; what can be checked is checked before the survey.
    """
    options, run = options or HeatmapRun(), Run("heatmap")
    _check(source, output, overwrite)
    focus = PlaneMap.load(options.map_path) if options.map_path else None
    with ExitStack() as stack:
        with run.stage("open"):
            slide = stack.enter_context(open_selection(source, options.selection))
        with run.stage("survey"):
            focus = focus or survey(slide, options.survey, progress)
        with run.stage("draw"):
            pixels = heatmap(slide, focus, options.drawing)
        facts = {"arguments": asdict(options), "source": describe(slide), "survey": focus.record}
    return _written(run, output, pixels, facts, overwrite)


def draw_focus_image(
    source: Path, output: Path, options: FocusImageOptions | None = None, *, overwrite: bool = False
) -> Picture:
    """Draw the focus image or mask of a picture, or of one plane of a slide; see `draw_heatmap` for the rest."""
    options, run = options or FocusImageOptions(), Run("focus")
    _check(source, output, overwrite)
    with ExitStack() as stack:
        with run.stage("open"):
            slide = stack.enter_context(open_slide(source))
        with run.stage("draw"):
            pixels = focus_picture(slide, options)
        facts = {"arguments": asdict(options), "source": describe(slide)}
    return _written(run, output, pixels, facts, overwrite)


def _check(source: Path, output: Path, overwrite: bool) -> None:
    """Raise whatever would stop the writing in the end."""
    check_png(output)
    check_not_source(source, output)
    for path in (output, side_file(output, "record")):
        check_output(path, overwrite=overwrite)


def _written(run: Run, output: Path, pixels: NDArray[np.uint8], facts: Mapping[str, Any], overwrite: bool) -> Picture:
    """Write picture and record under temporary names, and rename both when both are whole."""
    record_path = side_file(output, "record")
    with ExitStack() as stack:
        # The picture is renamed last: where it is, its record is.
        picture_file, record_file = (
            stack.enter_context(replacing(path, overwrite=overwrite)) for path in (output, record_path)
        )
        with run.stage("write"):
            size = picture_file.write_bytes(encode_png(pixels))
        height, width = pixels.shape[:2]
        record = run.record(**facts, output={"bytes": size, "width": width, "height": height})
        record_file.write_text(record.to_json(), encoding="utf-8")
    return Picture(output, record_path, record)
