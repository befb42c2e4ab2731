"""The options of every command, and what they become."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from planish._version import __version__
from planish.cli import commands, lightsheetparser, night, nightparser, serving, values
from planish.cli.settings import settings
from planish.focus.scorers import SCORERS, STEPS
from planish.fuse.backend import BACKENDS
from planish.fuse.methods import PIXEL_METHODS
from planish.fuse.options import METHODS
from planish.threads import cores
from planish.write.kinds import KINDS

_FORMATS = (
    "NDPI, SVS, OME-TIFF, SCN, DICOM, CZI, OME-Zarr, VSI and others (docs/formats.md), or a folder with one image per "
    "focal plane"
)
_CODES = (
    "Exit codes: 0 done; 1 failed; 2 wrong usage; 75 failed for a reason that may pass (disk full, I/O error), so try "
    "again; 130 interrupted; 143 terminated."
)
_SIGNED = ("--planes", "--region")
"""Options whose values may begin with a minus sign, if only to be refused with a clear message."""


def attached(arguments: Iterable[str]) -> list[str]:
    """Return ``--planes -2:`` as ``--planes=-2:``, which argparse does not take for an option."""
    joined: list[str] = []
    for argument in arguments:
        if joined and joined[-1] in _SIGNED and argument[:1] == "-" and argument[1:2].isdigit():
            joined[-1] += f"={argument}"
        else:
            joined.append(argument)
    return joined


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the `planish` command."""
    parser = argparse.ArgumentParser(
        prog="planish", description="Flatten z-stacked slides into one sharp slide.", epilog=_CODES
    )
    parser.add_argument("--version", action="version", version=f"planish {__version__}")
    subparsers = parser.add_subparsers(metavar="COMMAND", required=True)
    _info(_command(subparsers, "info", commands.info, "say what a slide holds"))
    _flatten(_command(subparsers, "flatten", commands.flatten, "write one sharp slide from a z-stack"))
    _batch(_command(subparsers, "batch", night.batch, "flatten a folder of slides overnight, with a report"))
    nightparser.add_status(_command(subparsers, "batch-status", night.status, "say how far a night is"))
    serving.add_serve(_command(subparsers, "serve", serving.serve, "show slides in a browser, and serve their tiles"))
    _fuse(_command(subparsers, "fuse", commands.fuse, "make one sharp image from a stack of images"))
    _heatmap(_command(subparsers, "heatmap", commands.heatmap, "draw which plane is sharp where"))
    _focus(_command(subparsers, "focus", commands.focus, "draw the focus image of one image or plane"))
    _verify(_command(subparsers, "verify", commands.verify, "compare a flat slide with its source"))
    lightsheetparser.add_lightsheet(_group(subparsers, "lightsheet", "correct, register and fuse light-sheet volumes"))
    _demo(_command(subparsers, "demo", commands.demo, "make a phantom slide, flatten it, compare it with the truth"))
    return parser


def _command(
    subparsers: argparse._SubParsersAction[argparse.ArgumentParser], name: str, run: commands.Command, text: str
) -> argparse.ArgumentParser:
    parser = subparsers.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
    parser.set_defaults(run=run)
    return parser


def _group(
    subparsers: argparse._SubParsersAction[argparse.ArgumentParser], name: str, text: str
) -> argparse.ArgumentParser:
    return subparsers.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")


def _info(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("slide", type=Path, metavar="SLIDE", help=_FORMATS)
    parser.add_argument("--json", action="store_true", help="print JSON")


def _flatten(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("slide", type=Path, metavar="SLIDE", help=_FORMATS)
    parser.add_argument(
        "output",
        type=Path,
        metavar="OUT",
        help=f"what to write; its name chooses: {', '.join(KINDS)} (DICOM and Zarr are folders)",
    )
    _add_selection(parser)
    _add_survey(parser)
    parser.add_argument("--heatmap", type=Path, metavar="OUT.png", help="draw which plane is sharp where, too")
    _add_composing(parser)
    # A night writes TIFF, so it has no use for a study.
    _add_writing(parser).add_argument("--study", metavar="UID", help="study that a DICOM series joins (a new one)")
    _add_recording(parser)
    _add_running(parser)


def _fuse(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "images",
        type=Path,
        nargs="+",
        metavar="IMAGES",
        help="one image per focal plane, lowest first, or what holds all of them: a folder, TIFF, OME-TIFF, .npy, a "
        "z-stacked slide",
    )
    parser.add_argument("output", type=Path, metavar="OUT", help="pyramidal TIFF to write")
    _add_planes(parser)
    group = parser.add_argument_group("fusing")
    group.add_argument("--method", choices=tuple(PIXEL_METHODS), help="how to fuse (soft)")
    _add_fusing(group)
    group.add_argument("--tile-size", type=int, metavar="PX", help="side of what is fused at once; bounds the memory")
    group.add_argument(
        "--depth-map",
        type=Path,
        metavar="DEPTH",
        help="TIFF to write, too: the plane of each pixel, counted from the first one taken; fractional for soft",
    )
    group.add_argument(
        "--map",
        type=Path,
        metavar="DEPTH",
        help="take each pixel from the plane that a depth map made before names, instead of fusing",
    )
    group = parser.add_argument_group("writing")
    _add_quality(group)
    _add_recording(parser)
    _add_running(parser)


def _heatmap(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("slide", type=Path, metavar="SLIDE", help=_FORMATS)
    parser.add_argument("output", type=Path, metavar="OUT.png", help="picture to write")
    _add_selection(parser)
    _add_survey(parser)
    _add_running(parser)


def _focus(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("slide", type=Path, metavar="IMAGE|SLIDE", help=_FORMATS)
    parser.add_argument("output", type=Path, metavar="OUT.png", help="picture to write")
    parser.add_argument("--sigma", type=float, default=2.0, help="standard deviation of the Gaussian, px (2)")
    parser.add_argument("--mask", action="store_true", help="keep the colours of what is sharp, hide the rest")
    parser.add_argument("--background", default="white", metavar="COLOR", help="what hides it (white)")
    parser.add_argument("--threshold", type=float, metavar="T", help="sharp from here, 0 to 1 (Otsu's)")
    parser.add_argument("--plane", type=int, metavar="N", help="focal plane (the middle one)")
    parser.add_argument("--overwrite", action="store_true", help="replace existing outputs")
    parser.add_argument("--quiet", action="store_true", help="no summary")


def _verify(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("flat", type=Path, metavar="FLAT", help="slide that planish flatten wrote")
    parser.add_argument("slide", type=Path, metavar="SOURCE", help="the z-stack it was made from")
    parser.add_argument("--map", type=Path, metavar="MAP", help="plane map (the one beside FLAT)")
    parser.add_argument("--all", action="store_true", help="compare every tile, not a sample of each level")
    parser.add_argument("--json", action="store_true", help="print JSON")


def _demo(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "folder", type=Path, nargs="?", default=Path("planish-demo"), metavar="DIR", help="(planish-demo)"
    )
    parser.add_argument("--seed", type=int, default=0, help="another specimen (0)")
    parser.add_argument("--size", type=int, default=2048, metavar="PX", help="side of the slide (2048)")
    parser.add_argument("--jobs", type=int, default=cores(), metavar="N", help="threads (all cores)")
    parser.add_argument("--quiet", action="store_true", help="no progress")


def _batch(parser: argparse.ArgumentParser) -> None:
    nightparser.add_batch(parser)
    groups = [
        _add_selection(parser),
        _add_survey(parser, saved_map=False),
        _add_composing(parser),
        _add_writing(parser),
    ]
    recording = parser.add_argument_group("recording")
    _add_source_name(recording)
    parser.set_defaults(settings=partial(settings, groups=[*groups, recording]))


def _add_selection(parser: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    group = parser.add_argument_group("part of the slide")
    group.add_argument("--level", type=int, default=0, metavar="N", help="pyramid level to take as full size (0)")
    group.add_argument("--region", type=values.region, metavar="X,Y,W,H", help="rectangle in level-0 pixels")
    _add_planes(group)
    group.add_argument(
        "--channel", action="append", default=[], metavar="NAME|N", help="channel to keep; may be repeated (all)"
    )
    group.add_argument("--scene", type=int, default=0, metavar="N", help="image of a file that holds several (0)")
    group.add_argument("--time", type=int, default=0, metavar="N", help="time point (0)")
    return group


def _add_planes(group: argparse._ActionsContainer) -> None:
    group.add_argument(
        "--planes",
        type=values.planes,
        default=(None, None),
        metavar="A:B",
        help="planes A to B - 1, counted from 0, the lowest; write it --planes=A:B; either may be left out",
    )


def _add_survey(parser: argparse.ArgumentParser, *, saved_map: bool = True) -> argparse._ArgumentGroup:
    group = parser.add_argument_group("choosing planes")
    if saved_map:
        group.add_argument("--map", type=Path, metavar="MAP", help="use a saved plane map instead of a survey")
    group.add_argument("--scorer", default="auto", choices=("auto", *SCORERS, "encoded-size"), help="sharpness measure")
    group.add_argument(
        "--ties",
        default="auto",
        choices=("auto", "decode", "bytes"),
        help="where byte counts nearly tie: decode and score, or go by bytes alone (decode; hybrid, which looks into "
        "cells afterwards, goes by bytes)",
    )
    group.add_argument("--score-level", type=int, metavar="N", help="pyramid level to score (1/4 of full size)")
    group.add_argument("--step", type=int, default=1, choices=STEPS, help="look at every n-th pixel (1)")
    group.add_argument("--subtiles", type=int, default=1, metavar="N", help="let the sharpest of N × N parts decide")
    group.add_argument("--sampler", default="auto", choices=("auto", "dense", "recursive", "bracket"))
    group.add_argument("--focus-channel", metavar="NAME|N", help="channel that decides for all that are kept (all)")
    group.add_argument("--seed", type=int, default=0, help="of probe and audit (0)")
    group.add_argument("--no-audit", action="store_true", help="do not check a sample of the inferred cells")
    return group


def _add_composing(parser: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    group = parser.add_argument_group("composing")
    group.add_argument(
        "--fuse",
        default="hybrid",
        choices=METHODS,
        help="hybrid copies what one plane shows sharply, fuses the rest and hides seams (the default); select copies "
        f"each cell from one plane; feather blends all seams; {', '.join(PIXEL_METHODS)} fuse every pixel",
    )
    _add_fusing(group)
    return group


def _add_fusing(group: argparse._ActionsContainer) -> None:
    group.add_argument(
        "--param",
        type=values.parameter,
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="parameter of a method that fuses pixels, e.g. sigma=3 or 'radius=(5, 3)'; may be repeated",
    )
    group.add_argument("--backend", default="auto", choices=BACKENDS, help="what fuses pixels (auto: a GPU if any)")


def _add_writing(parser: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    group = parser.add_argument_group("writing")
    group.add_argument(
        "--write",
        default="auto",
        choices=("auto", "copy", "encode"),
        help="copy compressed tiles where they can be copied, insist on it, or encode all (auto)",
    )
    _add_quality(group)
    group.add_argument("--levels", default="all", choices=("all", "source"), help="every ÷2, or the source's (all)")
    group.add_argument(
        "--layout", default="ome", choices=("ome", "aperio"), help="aperio tells OpenSlide the objective power (ome)"
    )
    group.add_argument("--label", action="store_true", help="copy the label image, which may show names")
    group.add_argument("--macro", action="store_true", help="copy the macro image, which may show names")
    return group


def _add_quality(group: argparse._ActionsContainer) -> None:
    group.add_argument(
        "--quality", type=values.quality, metavar="Q", help="JPEG quality 1 to 100 (the source's tables, else 90)"
    )


def _add_recording(parser: argparse.ArgumentParser) -> None:
    _add_source_name(parser)
    parser.add_argument("--json", action="store_true", help="print the record as JSON")


def _add_source_name(parser: argparse._ActionsContainer) -> None:
    parser.add_argument("--source-name", action="store_true", help="name the source file in the record")


def _add_running(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--jobs", type=int, default=cores(), metavar="N", help="threads (all cores)")
    parser.add_argument("--overwrite", action="store_true", help="replace existing outputs")
    parser.add_argument("--quiet", action="store_true", help="no progress, no summary")
