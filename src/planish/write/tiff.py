"""`write`: a one-plane slide becomes a pyramidal TIFF that opens everywhere.

The layout is *dual*: the levels stand in the page chain, where OpenSlide looks, and the first page points at the same
directories as its SubIFDs, where OME readers look. Directories come last, so that a cut-off file is never readable.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from planish._version import __version__
from planish.errors import OptionError, WriteError
from planish.files import replacing
from planish.model import Encoding, Level
from planish.slide.base import Slide
from planish.threads import in_threads
from planish.write.assembler import Ifd, Tag, TiffAssembler, Value, long, short, text
from planish.write.encode import TileEncoder, choose_encoder
from planish.write.metadata import level_tags, ome_xml
from planish.write.pyramid import Ladder, cut_tiles, pyramid_levels
from planish.write.verify import read_back

Progress = Callable[[str, int, int], None]
"""(stage, done, total); may raise to cancel."""
BAND = 4
"""Rows of tiles that one thread composes at once: enough for whole rows of the two levels above."""
_INNER_TOP = BAND.bit_length() - 1
_DEFAULT_TILE = 256
_CLASSIC_LIMIT = 2 << 30
"""Bytes of raw pixels up to which a classic TIFF is written; BigTIFF beyond."""


@dataclass(frozen=True, slots=True)
class WriteOptions:
    """How an output is written.

    Attributes
    ----------
    mode : str
        ``"auto"`` or ``"encode"``; ``"copy"`` of compressed tiles comes with a later version.
    quality : int or None
        IJG quality 1 to 100 of JPEG tiles; None keeps the source's tables.
    overwrite : bool
        Replace an existing file.
    jobs : int
        Threads.
    """

    mode: str = "auto"
    quality: int | None = None
    overwrite: bool = False
    jobs: int = 2

    def __post_init__(self) -> None:
        if self.mode == "copy":
            raise OptionError("--write copy comes with a later version; use auto or encode")
        if self.mode not in ("auto", "encode"):
            raise OptionError(f"unknown way of writing {self.mode!r}; use auto or encode")
        if self.jobs < 1:
            raise OptionError(f"{self.jobs} jobs are too few; give at least 1")


@dataclass(frozen=True, slots=True)
class Written:
    """What was written: the file, its bytes, its levels, how its tiles are encoded, tiles compared on reading back."""

    path: Path
    size: int
    levels: tuple[Level, ...]
    encoding: Encoding
    tiles_encoded: int
    tiles_checked: int


def write(
    slide: Slide, path: str | Path, options: WriteOptions | None = None, progress: Progress | None = None
) -> Written:
    """Write a one-plane slide as a pyramidal TIFF with ÷2 levels.

    Parameters
    ----------
    slide : Slide
        A slide with one plane, such as a `FlatSlide`.
    path : path
        The output; it appears whole, or not at all.
    options : WriteOptions
        Quality, overwriting, threads.
    progress : callable
        Called with (stage, done, total) in rows of tiles; an exception it raises cancels the writing.

    Memory: per thread about three rows of tiles of level 0 (each width × tile height pixels), and two rows of each
    level above; independent of the height.

    Raises
    ------
    OptionError
        Where the slide has several planes, or the quality cannot be had.
    WriteError
        Where writing fails, or the file does not read back as what was meant.
    """
    options, path = options or WriteOptions(), Path(path)
    if len(slide.planes) != 1:
        raise OptionError(f"{slide.name}: has {len(slide.planes)} planes; flatten it before writing")
    encoder = choose_encoder(slide, options.quality)
    full = slide.levels[0]
    fits = all(128 <= size <= 512 and size % 16 == 0 for size in (full.tile_width, full.tile_height))
    tile = (full.tile_width, full.tile_height) if fits else (_DEFAULT_TILE, _DEFAULT_TILE)
    levels = pyramid_levels(full, *tile)
    with replacing(path, overwrite=options.overwrite) as temporary:
        with temporary.open("xb") as file:
            raw = full.width * full.height * len(slide.channels) * slide.dtype.itemsize
            assembler = TiffAssembler(file, bigtiff=raw > _CLASSIC_LIMIT)
            tiles = _write_tiles(_Job(slide, levels, encoder), assembler, options.jobs, progress)
            _finish(slide, levels, encoder, assembler, tiles)
        checked = read_back(temporary, slide, levels, lossless=not encoder.encoding.lossy)
        size = temporary.stat().st_size
    return Written(path, size, levels, encoder.encoding, sum(level.columns * level.rows for level in levels), checked)


@dataclass(frozen=True)
class _Job:
    """What every thread needs to know."""

    slide: Slide
    levels: tuple[Level, ...]
    encoder: TileEncoder

    def band(self, first: int) -> tuple[list[tuple[int, list[bytes]]], list[NDArray[Any]]]:
        """Compose and encode `BAND` rows of tiles; return encoded rows by level, and what is left for higher levels."""
        base = self.levels[0]
        ladder = Ladder(0, min(_INNER_TOP, len(self.levels) - 1), base.tile_height)
        encoded = []
        for row in range(first, min(first + BAND, base.rows)):
            box = base.tile_box(0, row)
            pixels = self.slide.read_region(0, 0, 0, box.y, base.width, box.height)
            for level, tiles in ladder.push(0, pixels, end=row == base.rows - 1):
                encoded.append((level, self.encode(tiles)))
        return encoded, ladder.rest

    def encode(self, row: NDArray[Any]) -> list[bytes]:
        """Encode a row of tiles."""
        base = self.levels[0]
        return [self.encoder.encode(tile) for tile in cut_tiles(row, base.tile_width, base.tile_height)]


def _write_tiles(
    job: _Job, assembler: TiffAssembler, jobs: int, progress: Progress | None
) -> list[list[tuple[int, int]]]:
    """Write all tiles; return (offset, size) of each tile by level, row by row."""
    tiles: list[list[tuple[int, int]]] = [[] for _ in job.levels]
    rows = job.levels[0].rows
    outer = Ladder(_INNER_TOP + 1, len(job.levels) - 1, job.levels[0].tile_height)
    starts = range(0, rows, BAND)
    with in_threads(job.band, zip(starts), jobs, ordered=True) as bands:
        for start, (encoded, rest) in zip(starts, bands, strict=True):
            end = start + BAND >= rows
            for level, row in [*encoded, *_upper(job, outer, rest, end)]:
                tiles[level] += [(assembler.append(data), len(data)) for data in row]
            if progress:
                progress("writing", min(start + BAND, rows), rows)
    return tiles


def _upper(job: _Job, ladder: Ladder, rest: list[NDArray[Any]], end: bool) -> Iterator[tuple[int, list[bytes]]]:
    """Encode what became whole on the levels above those that the threads do themselves."""
    if len(job.levels) <= _INNER_TOP + 1:
        return
    for index, band in enumerate(rest):
        for level, row in ladder.push(_INNER_TOP + 1, band, end=end and index == len(rest) - 1):
            yield level, job.encode(row)


def _finish(
    slide: Slide,
    levels: tuple[Level, ...],
    encoder: TileEncoder,
    assembler: TiffAssembler,
    tiles: list[list[tuple[int, int]]],
) -> None:
    for level, places in zip(levels, tiles, strict=True):
        if len(places) != level.columns * level.rows:
            raise WriteError(f"{len(places)} tiles of {level} were made; this is a fault of planish: please report it")
    ifds = [Ifd(_tags(slide, level, encoder, assembler, places)) for level, places in zip(levels, tiles, strict=True)]
    description = {Tag.IMAGE_DESCRIPTION: text(ome_xml(slide, f"planish {__version__}"))}
    first = Ifd({**ifds[0].tags, **description, Tag.SOFTWARE: text(f"planish {__version__}")}, tuple(ifds[1:]))
    assembler.finish([first, *ifds[1:]])


def _tags(
    slide: Slide, level: Level, encoder: TileEncoder, assembler: TiffAssembler, places: list[tuple[int, int]]
) -> dict[int, Value]:
    channels = len(slide.channels)
    offsets, sizes = np.array(places, np.int64).T
    reduced = level.downsample_x > 1 or level.downsample_y > 1
    return {
        Tag.SUBFILE_TYPE: long(int(reduced)),
        Tag.IMAGE_WIDTH: long(level.width),
        Tag.IMAGE_LENGTH: long(level.height),
        Tag.BITS_PER_SAMPLE: short([8 * slide.dtype.itemsize] * channels),
        Tag.SAMPLES_PER_PIXEL: short(channels),
        Tag.PLANAR_CONFIGURATION: short(1),
        Tag.TILE_WIDTH: long(level.tile_width),
        Tag.TILE_LENGTH: long(level.tile_height),
        Tag.TILE_OFFSETS: assembler.offsets(offsets),
        Tag.TILE_BYTE_COUNTS: long(sizes),
        **encoder.tags(),
        **level_tags(slide, level),
    }
