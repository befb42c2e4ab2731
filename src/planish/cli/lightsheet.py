"""`planish lightsheet`: options to steps, what came of them to text."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from planish.cli.progress import Bars
from planish.cli.saying import say
from planish.errors import OptionError, PlanishError

if TYPE_CHECKING:
    from planish.lightsheet.blend import BlendOptions
    from planish.lightsheet.fuseoptions import EstimateOptions, Transition
    from planish.lightsheet.mask import MaskOptions
    from planish.lightsheet.options import OutputOptions, Pair, Part
    from planish.lightsheet.parameters import Parameters
    from planish.lightsheet.steps import StepResult
    from planish.threads import Progress

FRONTS = ("first", "second")
_LINES = 20
"""Of gaps and of failures that a summary tells; the record has all."""


def info(options: Namespace) -> int:
    """Print what a data set or a volume holds."""
    with _extra():
        from planish.lightsheet.summary import describe_source, format_facts
        from planish.report.plain import plain

        facts = describe_source(options.source)
    print(json.dumps(plain(facts), indent=2, allow_nan=False) if options.json else format_facts(facts))
    return 0


def correct(options: Namespace) -> int:
    """Correct raw volumes."""
    with _extra(), _bars(options) as bars:
        from planish.lightsheet.badpixels import BadPixelOptions
        from planish.lightsheet.correct import correct_dataset
        from planish.lightsheet.correctoptions import BackgroundOptions, CorrectOptions

        told = BackgroundOptions(options.dark_percentile, options.background_percentile, options.background_step)
        bad = BadPixelOptions(options.bad_threshold, options.median_range)
        chosen = CorrectOptions(
            part=_part(options),
            size=options.size,
            voxel_um=options.voxel,
            pairs=_pairs(options),
            crops=dict(options.crop),
            rotation=options.rotate,
            flip_x=not options.no_flip_x,
            flip_y=options.flip_y,
            bad_pixels=None if options.no_bad_pixels else bad,
            background=told,
            mask=_mask(options, options.mask),
            apply_mask=options.apply_mask,
            output=_output(options),
        )
        result = correct_dataset(options.source, options.output, chosen, bars)
    return _end(options, "corrected", result)


def estimate(options: Namespace) -> int:
    """Estimate a lookup table."""
    with _extra(), _bars(options) as bars:
        result = _estimated(options, options.table, bars, overwrite=options.overwrite)
    return _end(options, "table", result)


def smooth(options: Namespace) -> int:
    """Smooth a lookup table."""
    with _extra():
        from planish.lightsheet.series import SeriesOptions
        from planish.lightsheet.smoothing import smooth_table

        chosen = SeriesOptions(options.window, options.offsets, options.angles, options.intensity, options.static)
        picture = not options.no_diagnostics
        result = smooth_table(options.source, options.table, chosen, overwrite=options.overwrite, picture=picture)
    return _end(options, "table", result)


def fuse(options: Namespace) -> int:
    """Fuse corrected volumes; estimate first, where no table is given."""
    with _extra(), _bars(options) as bars:
        from planish.lightsheet.apply import fuse_dataset
        from planish.lightsheet.fuseoptions import FuseOptions

        chosen = FuseOptions(
            part=_part(options),
            pairs=_pairs(options),
            channels=options.channels,
            camera=_blend(options.blend, options.range, options.front, "z", options.plane),
            channel=_blend(
                options.channel_blend, options.channel_range, options.channel_front, "x", options.channel_plane
            ),
            transition=_transition(options),
            output=_output(options),
        )
        rows, failed = _rows(options, bars)
        result = fuse_dataset(options.source, options.output, rows, chosen, bars)
    # Why a time point has no row says more than that it has none.
    result.outcome.failed.update(failed)
    return _end(options, "fused", result)


def _rows(options: Namespace, progress: Progress) -> tuple[tuple[Parameters, ...], dict[str, str]]:
    """Return the table to fuse by, estimated where none is given, and why time points could not be."""
    from planish.lightsheet.parameters import read_table
    from planish.outputs import check_not_source

    if options.table:
        return read_table(options.table), {}
    check_not_source(options.source, options.output / "SPM00")
    table = options.output / "parameters.csv"
    if not options.quiet:
        say(f"planish: no --table, so the parameters are estimated first, into {table}", sys.stderr)
    failed = _estimated(options, table, progress, overwrite=options.overwrite).outcome.failed
    return read_table(table) if table.exists() else (), failed


def project(options: Namespace) -> int:
    """Project volumes."""
    with _extra(), _bars(options) as bars:
        from planish.lightsheet.project import ProjectOptions, project_volumes

        kinds = tuple(dict.fromkeys(options.kind)) or ProjectOptions().kinds
        chosen = ProjectOptions(kinds, options.method, options.overwrite, options.jobs)
        result = project_volumes(options.source, options.output, chosen, bars)
    return _end(options, "projected", result)


def convert(options: Namespace) -> int:
    """Convert volumes."""
    with _extra(), _bars(options) as bars:
        from planish.lightsheet.conversion import ConvertVolumesOptions, convert_volumes
        from planish.lightsheet.volume import VolumeOptions

        given: dict[str, Any] = {"chunk": options.chunk} if options.chunk else {}
        writing = VolumeOptions(
            voxel_um=options.voxel,
            compressor=options.compressor,
            level=options.level,
            sharded=not options.no_shards,
            pyramid=options.pyramid,
            overwrite=options.overwrite,
            jobs=options.jobs,
            **given,
        )
        result = convert_volumes(options.source, options.output, ConvertVolumesOptions(options.format, writing), bars)
    return _end(options, "converted", result)


def _estimated(options: Namespace, table: Path, progress: Progress, *, overwrite: bool) -> StepResult:
    from planish.lightsheet.estimate import estimate_dataset
    from planish.lightsheet.overview import draw_table
    from planish.lightsheet.parameters import read_table

    result = estimate_dataset(options.source, table, _estimation(options, overwrite=overwrite), progress)
    if table.exists() and not options.no_diagnostics:
        draw_table(table.with_suffix(".png"), read_table(table))
    return result


def _estimation(options: Namespace, *, overwrite: bool) -> EstimateOptions:
    from planish.lightsheet.camera_registration import CameraRegistrationOptions
    from planish.lightsheet.channel_registration import ChannelRegistrationOptions
    from planish.lightsheet.fuseoptions import EstimateOptions

    score, angle = options.min_score, options.max_angle
    return EstimateOptions(
        part=_part(options),
        pairs=_pairs(options),
        channels=options.channels,
        camera=CameraRegistrationOptions(options.compared, options.slab, options.max_shift, angle, score),
        channel=ChannelRegistrationOptions(max_shift_planes=options.max_dz, max_angle_deg=angle, min_score=score),
        camera_slab=options.gain_slab,
        channel_slab=options.channel_gain_slab,
        transition=_transition(options),
        front=FRONTS.index(options.front),
        overwrite=overwrite,
        jobs=options.jobs,
    )


def _part(options: Namespace) -> Part:
    from planish.lightsheet.options import Part

    return Part(options.specimen, options.times)


def _pairs(options: Namespace) -> tuple[Pair, ...]:
    from planish.lightsheet.options import PAIRS

    return tuple(options.pair) or PAIRS


def _mask(options: Namespace, mode: str = "mask") -> MaskOptions:
    from planish.lightsheet.gaussian import Gaussian
    from planish.lightsheet.mask import MaskOptions

    gaussian = Gaussian(options.mask_sigma, precise=not options.short_gaussian)
    return MaskOptions(mode, gaussian, options.mask_level, options.smallest, options.mask_slab, options.jobs)


def _transition(options: Namespace) -> Transition:
    from planish.lightsheet.fuseoptions import Transition
    from planish.lightsheet.surface import SurfaceOptions

    surface = SurfaceOptions(views=options.mask_fusion, median=options.median, sigma=options.sigma)
    return Transition(surface, options.padding, _mask(options))


def _blend(method: str, width: float | None, front: str, axis: str, plane: float | None) -> BlendOptions:
    from planish.lightsheet.blend import BlendOptions

    return BlendOptions(method, width, FRONTS.index(front), axis, plane)


def _output(options: Namespace) -> OutputOptions:
    from planish.lightsheet.options import OutputOptions

    return OutputOptions(
        options.format,
        options.compressor,
        options.level,
        not options.no_shards,
        options.overwrite,
        not options.no_diagnostics,
        options.jobs,
    )


@contextmanager
def _extra() -> Iterator[None]:
    """Say which extra brings a library that is missing."""
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name and error.name.partition(".")[0] == "planish":
            raise
        raise PlanishError(f"{error.name} is missing; install it with pip install 'planish[lightsheet]'") from error


def _bars(options: Namespace) -> Bars:
    if options.jobs < 1:
        raise OptionError(f"--jobs must be at least 1, got {options.jobs}")
    return Bars(quiet=options.quiet)


def _end(options: Namespace, what: str, result: StepResult) -> int:
    """Print what came of a step; return 1 where a part of it failed."""
    failed = result.outcome.failed
    if options.json:
        print(result.record.to_json(), end="")
    elif not options.quiet:
        print(_summary(what, result))
    if failed and (options.json or options.quiet):
        say("\n".join(f"planish: {name}: {reason}" for name, reason in failed.items()), sys.stderr)
    return 1 if failed else 0


def _summary(what: str, result: StepResult) -> str:
    outcome, record = result.outcome, result.record
    counts = [f"{len(outcome.done)} done"]
    counts += [f"{len(outcome.skipped)} there already"] if outcome.skipped else []
    counts += [f"{len(outcome.failed)} failed"] if outcome.failed else []
    lines = [f"{what:<9} {result.output} ({', '.join(counts)})", f"record    {result.record_path}"]
    lines += _some([f"gap       {gap}" for gap in outcome.gaps])
    lines += _some([f"failed    {name}: {reason}" for name, reason in outcome.failed.items()])
    memory = f", peak memory {record.peak_memory_mib:.0f} MiB" if record.peak_memory_mib else ""
    return "\n".join([*lines, f"done      {record.seconds['total']:.1f} s{memory}"])


def _some(lines: list[str]) -> list[str]:
    more = len(lines) - _LINES
    return lines if more <= 0 else [*lines[:_LINES], f"          and {more} more, see the record"]
