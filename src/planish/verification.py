"""A flat slide against what it was made of: source, plane map and record are read again, tiles are compared."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from planish.convert import Selection, open_selection, side_file
from planish.errors import OptionError, PlanishError, SlideNotFound
from planish.fuse.flat import flatten
from planish.fuse.options import FuseOptions
from planish.model import Box
from planish.planemap import PlaneMap
from planish.recipe import Recipe
from planish.report.record import versions
from planish.slide.base import Slide
from planish.slide.open import open_slide
from planish.write.encode import JpegTiles
from planish.write.levels import plan_levels
from planish.write.options import WriteOptions
from planish.write.output import find_container
from planish.write.tiles import TileSource
from planish.write.verify import SAMPLE, VerifyReport, compare, same_bytes


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
    if not flat.exists():
        raise SlideNotFound(f"{flat}: no such file or folder; check the path")
    container = find_container(flat)
    if container.source is None or container.reader is None:
        raise OptionError(f"{flat}: such tiles are all cut anew and tell nothing of the source's; verify another kind")
    focus = PlaneMap.load(map_path or side_file(flat, "map"))
    recorded = _recorded(side_file(flat, "record"), focus.recipe)
    with open_selection(source, recorded.selection) as slide, open_slide(flat) as written:
        meant = flatten(slide, focus, recorded.fuse)
        tiles = container.source(meant, recorded.write or WriteOptions(levels=_levels_of(written, meant)))
        if recorded.write is None:
            tiles = _as_stored(written, slide, tiles)
        return compare(flat, tiles, None if every_tile else SAMPLE, container.reader, exact=recorded.exact)


@dataclass(frozen=True)
class _Recorded:
    """How a slide was made: its part, how it was fused, and how it was written where that is known.

    `exact` where the same libraries on a processor of the same kind made it: the same pixels give the same bytes then.
    """

    fuse: FuseOptions
    selection: Selection = field(default_factory=Selection)
    write: WriteOptions | None = None
    exact: bool = False


def _recorded(path: Path, recipe: Recipe | None) -> _Recorded:
    """Return how a slide was made, by its record; without one by the recipe, else `select`."""
    if not path.exists():
        return _Recorded(FuseOptions(recipe.method, recipe.parameters) if recipe else FuseOptions("select"))
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        arguments, fuse = record["arguments"], _fusion(record["arguments"]["fuse"])
        exact = fuse.backend != "cupy" and _same_libraries(record.get("versions") or {})
        return _Recorded(fuse, _selection(arguments["selection"]), _write(arguments), exact)
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise PlanishError(f"{path}: does not say how the slide was fused ({error}); flatten it again") from error


def _write(arguments: Mapping[str, Any]) -> WriteOptions | None:
    known = ("mode", "quality", "lossless", "levels")
    return WriteOptions(**{name: arguments["write"][name] for name in known}) if "write" in arguments else None


def _same_libraries(recorded: Mapping[str, Any]) -> bool:
    here = versions()
    return "cpu" in recorded and all(here.get(name, version) == version for name, version in recorded.items())


def _as_stored(written: Slide, slide: Slide, tiles: TileSource) -> TileSource:
    """Return where a file's tiles come from, judged by how they are compressed and whether any is a copy."""
    stored = written.encoding(0, 0)
    encodings = [tiles.encoder.encoding, *(slide.encoding(0, plane.index) for plane in slide.planes)]
    if stored is not None and stored.codec == "jpeg" and stored not in encodings:
        # Written with a quality of its own.
        return replace(tiles, encoder=JpegTiles(stored), copying=False)
    return replace(tiles, copying=tiles.copying and _was_copied(written, tiles))


def _was_copied(written: Slide, tiles: TileSource) -> bool:
    """Whether tiles that could be copies are: some must be, and none what encoding makes of it instead."""
    some = False
    for segment in tiles.plan.segments:
        level = tiles.plan.levels[segment.first]
        for index in range(level.columns * level.rows):
            place = (segment.first, index % level.columns, index // level.columns)
            copy, stored = tiles.copy(*place), written.encoded_tile(place[0], 0, *place[1:])
            if copy is None or stored is None:
                continue
            if same_bytes(copy.whole, stored.whole):
                some = True
            elif same_bytes(tiles.encoded(place[0], tiles.meant(*place)), stored.whole):
                return False
    return some


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
