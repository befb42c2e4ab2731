"""One slide, end to end: the only place where the stages meet."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from planish.errors import OptionError, UnsupportedSlide
from planish.files import check_output, replacing
from planish.focus.options import SurveyOptions
from planish.focus.survey import survey
from planish.fuse.backend import choose_backend
from planish.fuse.decide import composed_facts, decide
from planish.fuse.flat import flatten
from planish.fuse.method import Method
from planish.fuse.options import FuseOptions
from planish.fuse.planes import SlidePlanes
from planish.model import Box
from planish.outputs import beside, check_not_above, check_not_source
from planish.planemap import PlaneMap
from planish.report.blur import measure_blur
from planish.report.description import describe
from planish.report.record import Run, RunRecord
from planish.report.thumbnail import check_png, encode_png
from planish.report.warnings import find_warnings
from planish.slide.base import Slide
from planish.slide.open import open_slide
from planish.slide.views import RegionView
from planish.threads import Progress
from planish.write.options import WriteOptions, Written
from planish.write.output import find_container
from planish.write.texts import COPIED_TEXT, carries_text


@dataclass(frozen=True, slots=True)
class Selection:
    """The part of a slide that is worked on.

    Attributes
    ----------
    level : int
        The pyramid level that becomes full size.
    region : Box or None
        In level-0 pixels; None for all.
    planes : tuple of (int or None), length 2
        First plane and the one after the last; None for open ends.
    channels : tuple of (int or str)
        Channels that are kept, by number or name, in that order; empty for all.
    scene, time : int
        Which of a file's scenes and time points.
    """

    level: int = 0
    region: Box | None = None
    planes: tuple[int | None, int | None] = (None, None)
    channels: tuple[int | str, ...] = ()
    scene: int = 0
    time: int = 0

    def of(self, slide: Slide) -> Slide:
        """Return the part of `slide`, or the slide itself where all of it is wanted."""
        slide = slide.view(scene=self.scene, time=self.time, channels=self.channels or None)
        if self.planes != (None, None):
            wanted = range(len(slide.planes))[slice(*self.planes)]
            if not wanted:
                first, stop = ("" if end is None else end for end in self.planes)
                raise OptionError(f"planes {first}:{stop} choose none of the planes 0 to {len(slide.planes) - 1}")
            slide = slide.view(planes=wanted)
        return RegionView(slide, self.level, self.region) if self.level or self.region else slide


@dataclass(frozen=True, slots=True)
class ConvertOptions:
    """How one slide is flattened and written.

    Attributes
    ----------
    selection : Selection
        Which part of the slide.
    survey, fuse, write : SurveyOptions, FuseOptions, WriteOptions
        Of the stages.
    map_path : Path or None
        A saved plane map to use instead of a survey.
    heatmap : Path or None
        A PNG to draw of the plane map, too.
    source_name : bool
        Whether the record may name the source file; names can hold a patient's.
    """

    selection: Selection = field(default_factory=Selection)
    survey: SurveyOptions = field(default_factory=SurveyOptions)
    fuse: FuseOptions = field(default_factory=FuseOptions)
    write: WriteOptions = field(default_factory=WriteOptions)
    map_path: Path | None = None
    heatmap: Path | None = None
    source_name: bool = False


@dataclass(frozen=True)
class Outputs:
    """The files of one conversion, and their record."""

    slide: Path
    map: Path
    record_path: Path
    record: RunRecord
    heatmap: Path | None = None


def side_file(output: Path, kind: str) -> Path:
    """Return the path beside an output: ``flat.tif`` has ``flat.map.json`` and ``flat.record.json``."""
    return beside(output, f"{kind}.json")


def open_selection(source: Path, selection: Selection) -> Slide:
    """Open a slide for flattening, all of it or a part.

    Raises
    ------
    UnsupportedSlide
        Where its pixels can be shown but not flattened.
    """
    slide = open_slide(source)
    try:
        if slide.dtype.kind not in "ui":
            raise UnsupportedSlide(f"{source}: has {slide.dtype} pixels; only integer ones are flattened: convert it")
        return selection.of(slide)
    except Exception:
        slide.close()
        raise


def choose_planes(source: Path, options: ConvertOptions | None = None, progress: Progress | None = None) -> PlaneMap:
    """Return the map by which `convert` would flatten a slide, and which it would save; nothing is written.

    Raises
    ------
    PlanishError
        Where `convert` would refuse, or fail so far.
    """
    options = options or ConvertOptions()
    options = replace(options, fuse=_spelt_out(options))
    with _opened(source, options) as slide:
        return _decide(slide, _focus(slide, options, progress), options, progress)[0]


def convert(
    source: Path, output: Path, options: ConvertOptions | None = None, progress: Progress | None = None
) -> Outputs:
    """Flatten a slide, with its plane map and a record beside it.

    Parameters
    ----------
    source, output : Path
        The z-stacked slide, and the file or folder to write; its name says what kind: see `planish.write.output`.
    options : ConvertOptions
        Of every stage.
    progress : callable
        Called with (stage, done, total); an exception it raises cancels, and nothing is left behind.

    Raises
    ------
    PlanishError
        Where anything fails; no output is left half-written.
    """
    options, run = options or ConvertOptions(), Run("flatten")
    options = replace(options, fuse=_spelt_out(options))
    paths = output, side_file(output, "map"), side_file(output, "record")
    container, overwrite = find_container(output), options.write.overwrite
    _check_heatmap(options.heatmap, paths)
    places, sides = container.places(output), (*paths[1:], *_given(options.heatmap))
    check_not_source(source, *places, *sides)
    check_not_above((*sides, *_given(options.map_path)), *places)
    container.check(output, overwrite=overwrite)
    for path in sides:
        check_output(path, overwrite=overwrite)
    with ExitStack() as stack:
        with run.stage("open"):
            slide = stack.enter_context(_opened(source, options))
            container.check_slide(slide.view(planes=[0]), options.write)
        with run.stage("survey"):
            focus = _focus(slide, options, progress)
        with run.stage("decide"):
            focus, composed = _decide(slide, focus, options, progress)
        # Renamed together when all is well, the slide last: where it is, its map and record are.
        place = stack.enter_context(container.replacing(output, overwrite=overwrite))
        map_file, record_file, *heatmap_file = (
            stack.enter_context(replacing(path, overwrite=overwrite)) for path in sides
        )
        focus.save(map_file)
        for path in heatmap_file:
            with run.stage("draw"):
                path.write_bytes(_drawn(slide, focus))
        with run.stage("write"):
            flat = flatten(slide, focus, options.fuse)
            written = container.fill(flat, place, options.write, progress)
        with run.stage("judge"):
            # What no reader opens is judged by what it was made of.
            with nullcontext(flat) if container.reader is None else container.reader(place[0]) as read:
                blur = measure_blur(read, focus)
            judged = {"blur": blur, "warnings": [*find_warnings(slide, focus, blur), *_texts(flat, written)]}
        record = run.record(
            arguments=asdict(options),
            source=describe(slide, source_name=options.source_name),
            survey=focus.record,
            output=written.facts() | {"planes_used": _planes_used(slide, focus, options.fuse)} | composed | judged,
        )
        record_file.write_text(record.to_json(), encoding="utf-8")
    return Outputs(*paths, record, options.heatmap)


@contextmanager
def _opened(source: Path, options: ConvertOptions) -> Iterator[Slide]:
    with open_selection(source, options.selection) as slide:
        if method := options.fuse.pixel_method(None):
            method.check(SlidePlanes(slide))
        yield slide


def check_options(options: ConvertOptions) -> None:
    """Raise OptionError where `convert` would refuse options whatever the slide; nothing is opened."""
    _spelt_out(options)


def _given(path: Path | None) -> list[Path]:
    return [path] if path else []


def _check_heatmap(heatmap: Path | None, others: Iterable[Path]) -> None:
    """Raise OptionError where the heatmap is no PNG, or would take the place of another output."""
    if heatmap is None:
        return
    check_png(heatmap)
    if heatmap.resolve() in (path.resolve() for path in others):
        raise OptionError(f"{heatmap}: is the slide, its map or its record; give the heatmap a name of its own")


def _drawn(slide: Slide, focus: PlaneMap) -> bytes:
    from planish.report.heatmap import heatmap  # matplotlib is loaded where it draws, only

    return encode_png(heatmap(slide, focus))


def _spelt_out(options: ConvertOptions) -> FuseOptions:
    """Return how to fuse with every default and the backend by name: the record holds all that `verify_file` needs."""
    fuse = options.fuse
    method = fuse.seam_method() or fuse.pixel_method(None)
    if method is None:
        return fuse
    if options.write.mode == "copy" and isinstance(method, Method):
        raise OptionError(f"--write copy: --fuse {method.name} makes new pixels, no tile can be copied; leave it out")
    defaults = {option.name: getattr(method, option.name) for option in fields(method)}
    return replace(fuse, parameters={**defaults, **fuse.parameters}, backend=choose_backend(fuse.backend).name)


def _focus(slide: Slide, options: ConvertOptions, progress: Progress | None) -> PlaneMap:
    if options.map_path:
        return PlaneMap.load(options.map_path)
    chosen = options.survey
    if options.fuse.method == "hybrid" and (chosen.ties, chosen.scorer) == ("auto", "auto"):
        chosen = replace(chosen, ties="bytes")  # every cell is looked into afterwards
    return survey(slide, chosen, progress)


def _decide(
    slide: Slide, focus: PlaneMap, options: ConvertOptions, progress: Progress | None
) -> tuple[PlaneMap, dict[str, Any]]:
    """Return the map with what is done in each cell, and the same for the record."""
    before = slide.decoded.total()
    # A map that was given, or a scorer or channel that was asked for, has the last word.
    ours = options.map_path is None and (options.survey.scorer, options.survey.channel) == ("auto", None)
    decided = decide(slide, focus, options.fuse, options.write.jobs, progress, correct=ours)
    facts = composed_facts(slide, decided, options.fuse)
    if decided.recipe:
        facts["cells_corrected"] = int((decided.plane != focus.plane).sum())
        facts["tile_planes_decoded"] = slide.decoded.total() - before
    return decided, {"composed": facts} if facts else {}


def _texts(flat: Slide, written: Written) -> list[str]:
    return [COPIED_TEXT] if written.tiles_copied and carries_text(flat) else []


def _planes_used(slide: Slide, focus: PlaneMap, fuse: FuseOptions) -> int:
    if fuse.pixel_method(None):
        return len(slide.planes)
    return len(np.unique(focus.plane[focus.specimen] if focus.specimen.any() else focus.plane))
