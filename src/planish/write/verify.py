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
"""Root mean square in grey levels between a tile and the meant pixels encoded anew, where their bytes differ: nothing
but another version of a library may lie between them; the next plane lies well beyond, even on noisy glass."""
_BLOCK, _EXCESS = 8, (1.0, 1.5)
"""px: of a JPEG's blocks, and by how much one may be further from the meant pixels than when encoded anew: mean squares
in grey levels, and how many times its own. A rounding that went the other way is about as near; a coefficient that
another took the place of is not."""


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What was compared: levels and tiles, those that are byte for byte the source's among them."""

    levels: int
    tiles_checked: int
    tiles_identical: int


def compare(
    path: Path,
    source: TileSource,
    sample: int | None,
    reader: Callable[[Path], Slide] = TiffSlide,
    *,
    exact: bool = False,
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
    exact : bool
        Whether tiles that were encoded must have the very bytes that they have when they are encoded here.

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
                    identical += _check_tile(written, source, (index, column, row), exact=exact)
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


def _check_tile(written: Slide, source: TileSource, place: tuple[int, int, int], *, exact: bool) -> bool:
    """Check one tile (level, column, row); return whether it is byte for byte the source's."""
    level, column, row = place
    stored, copy = written.encoded_tile(level, 0, column, row), source.copy(level, column, row)
    if copy is not None:
        if stored is None or not same_bytes(stored.whole, copy.whole):
            raise _not_meant(written, place)
        return True
    wanted = source.meant(level, column, row)
    if stored is not None and source.encoder.encoding.codec == "jpeg":
        if same_bytes(stored.whole, source.encoded(level, wanted)):
            return False
        if exact:
            raise _not_meant(written, place)
    found = written.read_tile(level, 0, column, row)
    if source.encoder.encoding.lossy:
        same = found.shape == wanted.shape and _near(found, source.stored(level, wanted), wanted)
    else:
        same = np.array_equal(found, wanted, equal_nan=found.dtype.kind == "f")
    if not same:
        raise _not_meant(written, place)
    return False


def _not_meant(written: Slide, place: tuple[int, int, int]) -> WriteError:
    level, column, row = place
    return WriteError(f"{written.name}: tile ({column}, {row}) of level {level} is not what was meant; write it again")


def same_bytes(first: bytes, second: bytes) -> bool:
    """Whether two compressed tiles are one, whatever zeros even their length."""
    return first.rstrip(b"\0") == second.rstrip(b"\0")


def _near(found: NDArray[Any], fresh: NDArray[Any], wanted: NDArray[Any]) -> bool:
    """Whether a tile is as good an encoding of the wanted pixels as a fresh one, as a whole and in each block."""
    if float(np.sqrt(np.mean((found.astype(np.float32) - fresh) ** 2))) > TOLERANCE:
        return False
    allowed, times = _EXCESS
    return bool((_block_errors(found, wanted) <= allowed + times * _block_errors(fresh, wanted)).all())


def _block_errors(pixels: NDArray[Any], wanted: NDArray[Any]) -> NDArray[np.float32]:
    """Return the mean squared difference of each block, (rows, columns); pixels beyond the image have none."""
    squares = np.square(pixels.astype(np.float32) - wanted).mean(axis=2)
    missing = [(0, -side % _BLOCK) for side in squares.shape]
    high, wide = (side // _BLOCK for side in np.pad(squares, missing).shape)
    blocks: NDArray[np.float32] = np.pad(squares, missing).reshape(high, _BLOCK, wide, _BLOCK).mean((1, 3))
    return blocks
