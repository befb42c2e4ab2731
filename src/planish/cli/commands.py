"""What each command does: options to calls, results to text.

What takes long to import is imported where it is used: `planish --help` and wrong usage answer at once.
"""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from planish.cli.progress import Bars
from planish.errors import OptionError

if TYPE_CHECKING:
    from planish.convert import Selection
    from planish.focus.options import SurveyOptions
    from planish.fuse.options import FuseOptions
    from planish.report.record import RunRecord

Command = Callable[[Namespace], int | None]
"""Returns an exit code, or nothing where all went well."""

TIFF_NAMES = (".tif", ".tiff", ".btf")


def info(options: Namespace) -> None:
    """Print what a slide holds."""
    from planish.report.description import describe, format_table
    from planish.slide.open import open_slide

    with open_slide(options.slide) as slide:
        description = describe(slide, source_name=True)
    print(json.dumps(description, indent=2, allow_nan=False) if options.json else format_table(description))


def flatten(options: Namespace) -> None:
    """Flatten one slide, then say what came of it."""
    from planish.cli.computer import settled
    from planish.cli.summary import flat_summary
    from planish.convert import ConvertOptions, convert
    from planish.write.options import WriteOptions
    from planish.write.output import find_container

    find_container(options.output)
    survey_options = _survey_options(options)
    fuse_options, notes = settled(_fuse_options(options.fuse, options))
    chosen = ConvertOptions(
        selection=_selection(options),
        survey=survey_options,
        fuse=fuse_options,
        write=WriteOptions(
            mode=options.write,
            quality=options.quality,
            layout=options.layout,
            label=options.label,
            macro=options.macro,
            study=options.study or "",
            levels=options.levels,
            overwrite=options.overwrite,
            jobs=options.jobs,
        ),
        map_path=options.map,
        heatmap=options.heatmap,
        source_name=options.source_name,
    )
    with Bars(quiet=options.quiet) as bars:
        outputs = convert(options.slide, options.output, chosen, bars)
    _print_result(options, outputs.record, flat_summary(outputs, notes), notes)


def check_settings(options: Namespace) -> None:
    """Raise OptionError where `flatten` would refuse options before it opens a slide."""
    from planish.convert import ConvertOptions, check_options
    from planish.write.options import WriteOptions

    one = Namespace(**{**vars(options), "jobs": 1})
    # Whether a GPU is there is for those to say that work.
    fuse_options = replace(_fuse_options(one.fuse, one), backend="numpy")
    writing = WriteOptions(mode=one.write, quality=one.quality, layout=one.layout, levels=one.levels)
    check_options(ConvertOptions(_selection(one), _survey_options(one), fuse_options, writing))


def fuse(options: Namespace) -> None:
    """Fuse a stack of images, or take its pixels by a depth map."""
    from planish.cli.computer import settled
    from planish.cli.summary import fused_summary
    from planish.imagestack import fuse_images
    from planish.stackoptions import StackOptions
    from planish.write.options import WriteOptions

    for path in (options.output, *([options.depth_map] if options.depth_map else [])):
        _check_tiff_name(path)
    _check_only_map(options)
    fuse_options = _fuse_options(options.method or "soft", options)
    fuse_options, notes = (fuse_options, []) if options.map else settled(fuse_options)
    chosen = StackOptions(
        planes=options.planes,
        fuse=fuse_options,
        tile_size=options.tile_size,
        map_path=options.map,
        depth_path=options.depth_map,
        write=WriteOptions(quality=options.quality, overwrite=options.overwrite, jobs=options.jobs),
        source_name=options.source_name,
    )
    with Bars(quiet=options.quiet) as bars:
        fused = fuse_images(options.images, options.output, chosen, bars)
    _print_result(options, fused.record, fused_summary(fused, notes), notes)


def heatmap(options: Namespace) -> None:
    """Survey a slide, or take a saved map, and draw it."""
    from planish.cli.summary import picture_summary
    from planish.pictures import HeatmapRun, draw_heatmap

    chosen = HeatmapRun(_selection(options), _survey_options(options), options.map)
    with Bars(quiet=options.quiet) as bars:
        picture = draw_heatmap(options.slide, options.output, chosen, bars, overwrite=options.overwrite)
    if not options.quiet:
        print(picture_summary(picture))


def focus(options: Namespace) -> None:
    """Draw a focus image."""
    from planish.cli.summary import picture_summary
    from planish.pictures import draw_focus_image
    from planish.report.focus_image import FocusImageOptions

    chosen = FocusImageOptions(
        sigma=options.sigma,
        mask=options.mask,
        background=options.background,
        threshold=options.threshold,
        plane=options.plane,
    )
    picture = draw_focus_image(options.slide, options.output, chosen, overwrite=options.overwrite)
    if not options.quiet:
        print(picture_summary(picture))


def verify(options: Namespace) -> None:
    """Compare a flat slide with what its source and its plane map make."""
    from planish.verification import verify_file

    report = verify_file(options.flat, options.slide, options.map, every_tile=options.all)
    if options.json:
        print(json.dumps(asdict(report)))
    else:
        which = "all" if options.all else "a sample"
        print(f"verified  {options.flat}: {report.tiles_checked} tiles of {report.levels} levels ({which}) are right")


def demo(options: Namespace) -> None:
    """Make, flatten and judge a phantom slide."""
    from planish.cli.demo import run_demo

    with Bars(quiet=options.quiet) as bars:
        print(run_demo(options.folder, size=options.size, seed=options.seed, jobs=options.jobs, progress=bars))


def _check_tiff_name(path: Path) -> None:
    # Of a folder, that it is one is said elsewhere.
    if path.suffix.lower() not in TIFF_NAMES and not path.is_dir():
        raise OptionError(f"{path}: planish writes TIFF; give a name that ends in {', '.join(TIFF_NAMES)}")


def _check_only_map(options: Namespace) -> None:
    """Raise OptionError where a depth map is to be applied, and something that only fusing needs was given, too."""
    given = {
        "--method": options.method,
        "--param": options.param,
        "--tile-size": options.tile_size is not None,
        "--backend": options.backend != "auto",
        "--depth-map": options.depth_map,
    }
    if options.map and any(given.values()):
        named = ", ".join(name for name, value in given.items() if value)
        raise OptionError(f"--map takes pixels as they are: leave out {named}, or the map")


def _print_result(options: Namespace, record: RunRecord, summary: str, notes: Sequence[str]) -> None:
    if options.json:
        print(record.to_json(), end="")
        if not options.quiet:
            # The record names what did compute.
            print("".join(f"planish: {note}\n" for note in notes), end="", file=sys.stderr)
    elif not options.quiet:
        print(summary)


def _selection(options: Namespace) -> Selection:
    from planish.convert import Selection

    kept = () if "all" in options.channel else tuple(options.channel)
    return Selection(options.level, options.region, options.planes, kept, options.scene, options.time)


def _fuse_options(method: str, options: Namespace) -> FuseOptions:
    from planish.fuse.options import FuseOptions

    parameters = dict(options.param)
    if parameters.get("prior") not in (None, "map"):
        raise OptionError(f"prior={parameters['prior']!r}: can be map, the plane map, or be left out")
    return FuseOptions(method, parameters, options.backend)


def _survey_options(options: Namespace) -> SurveyOptions:
    from planish.focus.options import SurveyOptions

    return SurveyOptions(
        scorer=options.scorer,
        ties=options.ties,
        score_level=options.score_level,
        step=options.step,
        subtiles=options.subtiles,
        sampler=options.sampler,
        channel=None if options.focus_channel == "all" else options.focus_channel,
        seed=options.seed,
        audit=not options.no_audit,
        jobs=options.jobs,
    )
