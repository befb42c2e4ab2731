"""The options of `planish lightsheet` and its commands."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from planish.cli import lightsheet, values
from planish.threads import cores

BLENDS = ("focus", "adaptive", "geometric", "wavelet", "average")
COMPRESSORS = ("blosc-zstd", "blosc-lz4", "blosc-lz4hc", "gzip", "bzip2", "none")
FORMATS = ("zarr", "klb", "tif")
MASKS = ("none", "mask", "masks-only", "global")
PADDINGS = ("none", "centre", "dilate")
PROJECTIONS = ("xy", "xz", "yz", "focus")

Subparsers = argparse._SubParsersAction


def add_lightsheet(parser: argparse.ArgumentParser) -> None:
    """Add the commands."""
    subparsers = parser.add_subparsers(metavar="STEP", required=True)
    for name, run, add, text in (
        ("info", lightsheet.info, _info, "say what a folder of volumes, or one volume, holds"),
        ("correct", lightsheet.correct, _correct, "turn raw volumes, take bad pixels and background off, find masks"),
        ("estimate", lightsheet.estimate, _estimate, "find how cameras and light sheets lie to each other"),
        ("smooth", lightsheet.smooth, _smooth, "smooth what was found over time, and fill gaps"),
        ("fuse", lightsheet.fuse, _fuse, "make the views of each time point one volume"),
        ("project", lightsheet.project, _project, "flatten volumes by their maxima, and by focus as slides are"),
        ("convert", lightsheet.convert, _convert, "write volumes in another format, without loss"),
    ):
        _step(subparsers, name, run, add, text)


def _step(
    subparsers: Subparsers[argparse.ArgumentParser],
    name: str,
    run: Callable[[argparse.Namespace], int],
    add: Callable[[argparse.ArgumentParser], None],
    text: str,
) -> None:
    parser = subparsers.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
    parser.set_defaults(run=run)
    add(parser)


def _info(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", type=Path, metavar="IN", help="folder of a data set, or a volume")
    parser.add_argument("--json", action="store_true", help="print JSON")


def _correct(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", type=Path, metavar="IN", help="folder with .stack files, ch*.xml, Background_*.tif")
    parser.add_argument("output", type=Path, metavar="OUT", help="folder for corrected volumes")
    _add_part(parser)
    group = parser.add_argument_group("where no XML tells")
    group.add_argument("--size", type=values.pair, metavar="W,H", help="px of a plane")
    group.add_argument("--voxel", type=values.voxel, metavar="Z,Y,X", help="µm")
    group = parser.add_argument_group("turning")
    group.add_argument(
        "--crop", type=values.crop, action="append", default=[], metavar="CAMERA=Z0,Z1,Y0,Y1,X0,X1",
        help="what of a camera's volumes is kept, before they are turned; may be repeated",
    )  # fmt: skip
    turn = "quarter turns clockwise of the second camera of each pair (0)"
    group.add_argument("--rotate", type=int, default=0, choices=(-1, 0, 1), help=turn)
    group.add_argument("--no-flip-x", action="store_true", help="do not mirror the second camera left to right")
    group.add_argument("--flip-y", action="store_true", help="mirror the second camera top to bottom")
    group = parser.add_argument_group("bad pixels and background")
    group.add_argument("--no-bad-pixels", action="store_true", help="leave hot and dead pixels")
    group.add_argument("--bad-threshold", type=float, default=6.0, metavar="SD", help="deviations they are off by (6)")
    level = "edge of the parts of a dark frame whose median is its level (100)"
    group.add_argument("--median-range", type=int, default=100, metavar="PX", help=level)
    group.add_argument("--dark-percentile", type=float, default=3.0, metavar="P", help="of a dark frame (3)")
    group.add_argument(
        "--background-percentile", type=float, default=5.0, metavar="P", help="of the volume, without dark frame (5)"
    )
    group.add_argument("--background-step", type=int, default=100, metavar="N", help="of every n-th voxel (100)")
    group = parser.add_argument_group("mask")
    group.add_argument(
        "--mask", default="mask", choices=MASKS, help="one per volume, these alone, or one for all time points (mask)"
    )
    group.add_argument("--apply-mask", action="store_true", help="write 0 outside of the mask")
    _add_mask(group)
    _add_output(parser)


def _estimate(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", type=Path, metavar="CORRECTED", help="folder that planish lightsheet correct wrote")
    parser.add_argument("table", type=Path, metavar="TABLE.csv", help="table to write")
    _add_part(parser)
    _add_channels(parser)
    _add_registration(parser)
    _add_transition(parser)
    parser.add_argument("--no-diagnostics", action="store_true", help="draw no pictures")
    _add_running(parser)


def _smooth(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", type=Path, metavar="TABLE.csv", help="as estimated")
    parser.add_argument("table", type=Path, metavar="SMOOTHED.csv", help="table to write")
    parser.add_argument("--window", type=int, default=20, metavar="N", help="time points of each robust fit (20)")
    reach = "time points either side that are averaged then"
    parser.add_argument("--offsets", type=int, default=10, metavar="N", help=f"{reach}: of shifts (10)")
    parser.add_argument("--angles", type=int, default=10, metavar="N", help=f"{reach}: of turns (10)")
    parser.add_argument("--intensity", type=int, default=5, metavar="N", help=f"{reach}: of brightness (5)")
    parser.add_argument("--static", action="store_true", help="the mean over time for all time points")
    parser.add_argument("--no-diagnostics", action="store_true", help="draw no picture")
    _add_running(parser, jobs=False)


def _fuse(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", type=Path, metavar="CORRECTED", help="folder that planish lightsheet correct wrote")
    parser.add_argument("output", type=Path, metavar="OUT", help="folder for fused volumes")
    parser.add_argument("--table", type=Path, metavar="T.csv", help="parameters (estimated, into OUT/parameters.csv)")
    _add_part(parser)
    _add_channels(parser)
    group = parser.add_argument_group("blending")
    group.add_argument("--blend", default="focus", choices=BLENDS, help="of cameras, along z (focus)")
    group.add_argument("--range", type=float, metavar="PLANES", help="width of the ramp either side (4)")
    group.add_argument("--plane", type=float, metavar="Z", help="where geometric takes the other camera (the middle)")
    group.add_argument("--channel-blend", default="focus", choices=BLENDS, help="of light sheets, along x (focus)")
    group.add_argument("--channel-range", type=float, metavar="PX", help="width of the ramp either side (20)")
    sheet = "which light sheet comes from low x (first)"
    group.add_argument("--channel-front", default="first", choices=lightsheet.FRONTS, help=sheet)
    group.add_argument("--channel-plane", type=float, metavar="X", help="where geometric takes the other (the middle)")
    _add_registration(parser, "registration, without --table")
    _add_transition(parser)
    _add_output(parser)


def _project(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", type=Path, metavar="VOLUME", help="a volume, or the folder of a data set")
    parser.add_argument("output", type=Path, metavar="OUT", help="folder for projections")
    parser.add_argument(
        "--kind", action="append", default=[], choices=PROJECTIONS, help="maxima, or focus; may be repeated (all)"
    )
    parser.add_argument("--method", default="soft", help="how focus fuses planes, as in planish fuse (soft)")
    _add_running(parser)


def _convert(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", type=Path, metavar="IN", help="a volume, or the folder of a data set")
    parser.add_argument("output", type=Path, metavar="OUT", help=".zarr, .klb or .tif; a folder where IN is a data set")
    group = parser.add_argument_group("writing")
    group.add_argument("--format", default="zarr", choices=FORMATS, help="of a data set (zarr)")
    _add_format(group)
    group.add_argument("--chunk", type=values.chunk, metavar="Z,Y,X|plane", help="of a Zarr (10,128,128)")
    group.add_argument("--pyramid", action="store_true", help="write smaller levels into a Zarr, too")
    group.add_argument("--voxel", type=values.voxel, metavar="Z,Y,X", help="µm (as IN says)")
    _add_running(parser)


def _add_part(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("part of the data set")
    group.add_argument("--specimen", type=int, metavar="N", help="only this one (all)")
    group.add_argument(
        "--times", type=values.planes, default=(None, None), metavar="A:B", help="time points A to B - 1"
    )
    pairs = "cameras that face each other, the second one mirrored; may be repeated (0,1 and 2,3)"
    group.add_argument("--pair", type=values.pair, action="append", default=[], metavar="A,B", help=pairs)


def _add_channels(parser: argparse.ArgumentParser) -> None:
    channels = "channels are colours, or the light sheets of one colour, which are fused, too (separate)"
    parser.add_argument("--channels", default="separate", choices=("separate", "fuse"), help=channels)


def _add_registration(parser: argparse.ArgumentParser, title: str = "registration") -> None:
    front = "which camera of a pair is sharp at low z (first)"
    parser.add_argument("--front", default="first", choices=lightsheet.FRONTS, help=front)
    group = parser.add_argument_group(title)
    group.add_argument("--compared", type=int, default=17, metavar="N", help="planes that are registered (17)")
    slab = "planes either side of the middle that they lie in (8)"
    group.add_argument("--slab", type=int, default=8, metavar="N", help=slab)
    group.add_argument("--max-shift", type=float, default=50.0, metavar="PX", help="of cameras, either side (50)")
    group.add_argument("--max-angle", type=float, default=3.0, metavar="DEG", help="either side (3)")
    group.add_argument("--max-dz", type=float, default=10.0, metavar="PLANES", help="of light sheets, either side (10)")
    group.add_argument("--min-score", type=float, default=0.3, metavar="R", help="least correlation (0.3)")
    bright = "planes either side of the transition in which cameras' brightness is compared (5)"
    group.add_argument("--gain-slab", type=int, default=5, metavar="N", help=bright)
    group.add_argument("--channel-gain-slab", type=int, default=10, metavar="PX", help="the same of light sheets (10)")


def _add_transition(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("transition by masks, for adaptive and for brightness")
    fusion = "where only one view has a mask: take its own, or leave it open (either)"
    group.add_argument("--mask-fusion", default="either", choices=("either", "both"), help=fusion)
    group.add_argument("--padding", default="none", choices=PADDINGS, help="what is beyond the masks (none)")
    group.add_argument("--median", type=int, default=100, metavar="PX", help="edge of the median that smooths it (100)")
    group.add_argument("--sigma", type=float, default=0.0, metavar="PX", help="Gaussian after it (0)")
    _add_mask(group)


def _add_mask(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--mask-level", type=float, default=0.4, metavar="F", help="share of the way from background to mean (0.4)"
    )
    group.add_argument("--mask-sigma", type=float, default=2.0, metavar="PX", help="smoothing before it (2)")
    group.add_argument("--short-gaussian", action="store_true", help="smooth with 5 px, not precisely")
    small = "drop objects of fewer voxels, as a share of the volume (1e-5)"
    group.add_argument("--smallest", type=float, default=1e-5, metavar="F", help=small)
    group.add_argument("--mask-slab", type=int, default=16, metavar="PLANES", help="at a time; bounds the memory (16)")


def _add_output(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("writing")
    group.add_argument("--format", default="zarr", choices=FORMATS, help="(zarr)")
    _add_format(group)
    group.add_argument("--no-diagnostics", action="store_true", help="draw no pictures")
    _add_running(parser)


def _add_format(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--compressor", default="blosc-zstd", choices=COMPRESSORS, help="of a Zarr (blosc-zstd)")
    group.add_argument("--level", type=int, metavar="N", help="of the compressor (its best)")
    group.add_argument("--no-shards", action="store_true", help="a file per chunk of a Zarr, not per slab")


def _add_running(parser: argparse.ArgumentParser, *, jobs: bool = True) -> None:
    if jobs:
        parser.add_argument("--jobs", type=int, default=cores(), metavar="N", help="threads (all cores)")
    parser.add_argument("--overwrite", action="store_true", help="make anew what is there")
    parser.add_argument("--json", action="store_true", help="print the record as JSON")
    parser.add_argument("--quiet", action="store_true", help="no progress, no summary")
