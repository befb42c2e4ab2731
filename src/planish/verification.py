"""A flat slide against what it was made of: source, plane map and record are read again, tiles are compared."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from planish.convert import Selection, open_selection, side_file
from planish.errors import OptionError, PlanishError
from planish.fuse.flat import flatten
from planish.fuse.options import FuseOptions
from planish.model import Box
from planish.planemap import PlaneMap
from planish.recipe import Recipe
from planish.slide.base import Slide
from planish.slide.open import open_slide
from planish.write.encode import JpegTiles
from planish.write.levels import plan_levels
from planish.write.options import WriteOptions
from planish.write.output import find_container
from planish.write.verify import SAMPLE, VerifyReport, compare


def verify_file(flat: Path, source: Path, map_path: Path | None = None, *, every_tile: bool = False) -> VerifyReport:
    """Check that a flat slide is what its source and its plane map make, composed as the record beside it says.

    Parameters
    ----------
    flat, source : Path
        The file, and the z-stack it was made from. Where no record lies beside the file, the map tells
        how it was composed.
    map_path : Path or None
        The plane map, by default the one beside `flat`.
    every_tile : bool
        Whether to compare all tiles instead of a sample of each level.

    Raises
    ------
    WriteError
        Where anything differs, naming level and tile.
    PlanishError
        Where one of the files cannot be read, or the map does not fit the source.
    """
    container = find_container(flat)
    if container.source is None or container.reader is None:
        raise OptionError(f"{flat}: such tiles are all cut anew and tell nothing of the source's; verify another kind")
    focus = PlaneMap.load(map_path or side_file(flat, "map"))
    fuse, selection = _recorded(side_file(flat, "record"), focus.recipe)
    with open_selection(source, selection) as slide, open_slide(flat) as written:
        meant = flatten(slide, focus, fuse)
        options = WriteOptions(levels=_levels_of(written, meant))
        stored, plain = written.encoding(0, 0), container.source(meant, options)
        encodings = [plain.encoder.encoding, *(slide.encoding(0, plane.index) for plane in slide.planes)]
        if stored is not None and stored.codec == "jpeg" and stored not in encodings:
            # Written with a quality of its own.
            plain = replace(plain, encoder=JpegTiles(stored), copying=False)
        return compare(flat, plain, None if every_tile else SAMPLE, container.reader)


def _recorded(path: Path, recipe: Recipe | None) -> tuple[FuseOptions, Selection]:
    """Return how a slide was fused, and which part of it, by its record; without one by the recipe, else `select`."""
    if not path.exists():
        return FuseOptions(recipe.method, recipe.parameters) if recipe else FuseOptions("select"), Selection()
    try:
        arguments = json.loads(path.read_text(encoding="utf-8"))["arguments"]
        return _fusion(arguments["fuse"]), _selection(arguments["selection"])
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise PlanishError(f"{path}: does not say how the slide was fused ({error}); flatten it again") from error


def _fusion(fuse: Mapping[str, Any]) -> FuseOptions:
    # JSON knows no tuples, and has a prior other than the plane map as an object.
    given = {name: tuple(v) if isinstance(v, list) else v for name, v in fuse.get("parameters", {}).items()}
    if isinstance(given.get("prior"), dict):
        raise ValueError("its prior is not the plane map")
    return FuseOptions(fuse["method"], given, fuse.get("backend", "auto"))


def _selection(recorded: Mapping[str, Any]) -> Selection:
    region, (first, stop) = recorded["region"], recorded["planes"]
    # Records of earlier versions know of no channels, scenes and times.
    channels, scene, time = (recorded.get(name, 0) for name in ("channels", "scene", "time"))
    return Selection(
        recorded["level"], Box(*region) if region else None, (first, stop), tuple(channels or ()), scene, time
    )


def _levels_of(written: Slide, meant: Slide) -> str:
    """Return which levels a file was written with."""
    count = len(written.levels)
    return "source" if count == len(meant.levels) != len(plan_levels(meant).levels) else "all"
