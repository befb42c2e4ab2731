"""Comparing an output with what it was meant to be: levels, copied tiles byte by byte, the others pixel by pixel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from planish.errors import SlideError, WriteError
from planish.model import Level
from planish.slide.base import Slide
from planish.slide.tiff import TiffSlide
from planish.write.tiles import TileSource

SAMPLE = 16
"""Tiles per level that are compared after writing."""
_MOST_TILES = 64
"""Tiles of the slide that a sampled tile may be made of; those of the topmost levels are compared on request only."""
TOLERANCE = 0.5
"""Root mean square in grey levels between a tile and the meant pixels encoded anew: nothing but another version of the
codec may lie between them; the next plane lies well beyond, even on noisy glass."""


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What was compared: levels and tiles, those that are byte for byte the source's among them."""

    levels: int
    tiles_checked: int
    tiles_identical: int


def compare(
    path: Path, source: TileSource, sample: int | None, reader: Callable[[Path], Slide] = TiffSlide
) -> VerifyReport:
    """Compare a written file with what was meant.

    Parameters
    ----------
    path : Path
        The file.
    source : TileSource
        Where its tiles should have come from.
    sample : int or None
        Tiles per level, drawn at random but always the same ones; None for all.
    reader : callable
        What opens it.

    Raises
    ------
    WriteError
        Where anything differs, naming level and tile.
    """
    checked = identical = 0
    try:
        with reader(path) as written:
            _check_levels(path, written.levels, source.plan.levels)
            generator = np.random.default_rng(0)
            for index, level in enumerate(source.plan.levels):
                places = generator.permutation(level.columns * level.rows)[: _affordable(source, index, sample)]
                for place in np.sort(places).tolist():
                    row, column = divmod(place, level.columns)
                    identical += _check_tile(written, source, (index, column, row))
                    checked += 1
    except SlideError as error:
        raise WriteError(f"{path}: does not read back ({error}); write it again, on another disk") from error
    return VerifyReport(len(source.plan.levels), checked, identical)


def _affordable(source: TileSource, level: int, sample: int | None) -> int | None:
    """Return how many tiles of a level to sample: one that was halved n times is made of 4ⁿ tiles of the slide."""
    if sample is None:
        return None
    halvings = level - source.plan.segment_of(level).first
    return min(sample, max(1, sample >> 2 * halvings)) if 4**halvings <= _MOST_TILES else 0


def _check_levels(path: Path, found: tuple[Level, ...], meant: tuple[Level, ...]) -> None:
    """Raise WriteError where a file's pyramid is not the one that was meant."""
    if found != meant:
        sizes = (", ".join(f"{level.width} × {level.height}" for level in levels) for levels in (found, meant))
        raise WriteError("{}: has levels {}, meant were {}; write it again".format(path, *sizes))


def _check_tile(written: Slide, source: TileSource, place: tuple[int, int, int]) -> bool:
    """Check one tile (level, column, row); return whether it is byte for byte the source's."""
    level, column, row = place
    stored, copy = written.encoded_tile(level, 0, column, row), source.copy(level, column, row)
    if stored is not None and copy is not None and stored.whole == copy.whole:
        return True
    found, wanted = written.read_tile(level, 0, column, row), source.meant(level, column, row)
    if source.encoder.encoding.lossy:
        wanted = source.stored(level, wanted)
        same = found.shape == wanted.shape and _distance(found, wanted) <= TOLERANCE
    else:
        same = np.array_equal(found, wanted, equal_nan=found.dtype.kind == "f")
    if not same:
        raise WriteError(
            f"{written.name}: tile ({column}, {row}) of level {level} is not what was meant; write it again"
        )
    return False


def _distance(first: NDArray[Any], second: NDArray[Any]) -> float:
    return float(np.sqrt(np.mean((first.astype(np.float32) - second) ** 2)))
