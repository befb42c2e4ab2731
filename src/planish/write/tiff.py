"""`write`: a one-plane slide becomes a pyramidal TIFF that opens everywhere.

The layout is *dual*: the levels stand in the page chain, where OpenSlide looks, and the first page points at the same
directories as its SubIFDs, where OME readers look. Directories come last, so that a cut-off file is never readable.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from planish._version import __version__
from planish.encoding import Encoding
from planish.errors import OptionError, WriteError
from planish.files import replacing
from planish.model import Level
from planish.slide.base import Slide
from planish.threads import Progress, in_threads
from planish.write.assembler import Ifd, Tag, TiffAssembler, Value, long, short, text
from planish.write.associated import associated_ifds
from planish.write.encode import DeflateTiles, choose_encoder
from planish.write.levels import plan_levels
from planish.write.metadata import describe_output, level_tags
from planish.write.pyramid import Ladder
from planish.write.tiles import INNER, Row, TileSource, band_rows
from planish.write.verify import SAMPLE, compare

_CLASSIC_LIMIT = 2 << 30
"""Bytes of raw pixels up to which a classic TIFF is written; BigTIFF beyond."""
_SMALL_TILE, _SMALL_TILES = 2048, 1024
"""Bytes up to which equal tiles, blank ones mostly, are stored once, and how many different ones are remembered."""
_BUFFER = 4 << 20
"""Bytes gathered before the system is asked to write."""


@dataclass(frozen=True, slots=True)
class WriteOptions:
    """How an output is written.

    Attributes
    ----------
    mode : str
        ``"auto"``: copy compressed tiles where they can be; ``"copy"``: the same, and an error where none can;
        ``"encode"``: encode every tile.
    quality : int or None
        IJG quality 1 to 100 of JPEG tiles, all of them encoded; None keeps the source's tables.
    lossless : bool
        Deflate instead of JPEG for tiles that are encoded; none are copied.
    levels : str
        ``"all"``: ÷2 levels; ``"source"``: those that the source has.
    layout : str
        ``"ome"``, or ``"aperio"``, whose description carries the objective's power to OpenSlide.
    label, macro : bool
        Whether to copy these images. They can show names.
    overwrite : bool
        Replace an existing file.
    jobs : int
        Threads.
    """

    mode: str = "auto"
    quality: int | None = None
    lossless: bool = False
    levels: str = "all"
    layout: str = "ome"
    label: bool = False
    macro: bool = False
    overwrite: bool = False
    jobs: int = 2

    def __post_init__(self) -> None:
        for name, allowed in (
            ("mode", ("auto", "copy", "encode")),
            ("levels", ("all", "source")),
            ("layout", ("ome", "aperio")),
        ):
            if getattr(self, name) not in allowed:
                raise OptionError(f"writing: {name} is one of {', '.join(allowed)}, not {getattr(self, name)!r}")
        if self.quality is not None and not 1 <= self.quality <= 100:
            raise OptionError(f"quality {self.quality} is out of range; give 1 to 100")
        if self.mode == "copy" and self.quality is not None:
            raise OptionError("copied tiles keep their quality; leave out the quality, or encode")
        if self.lossless and (self.mode == "copy" or self.quality is not None):
            raise OptionError("lossless tiles are encoded, and have no quality; leave out copying and the quality")
        if self.jobs < 1:
            raise OptionError(f"{self.jobs} jobs are too few; give at least 1")


@dataclass(frozen=True, slots=True)
class Written:
    """What was written.

    Attributes
    ----------
    path : Path
        The file.
    size : int
        Its bytes.
    levels : tuple of Level
        Its pyramid.
    encoding : Encoding
        Of the tiles that were encoded.
    tiles_copied, tiles_encoded : int
        Of all levels.
    bytes_copied : int
        Of the tiles that were copied.
    tiles_checked : int
        Compared on reading back.
    """

    path: Path
    size: int
    levels: tuple[Level, ...]
    encoding: Encoding
    tiles_copied: int
    tiles_encoded: int
    bytes_copied: int
    tiles_checked: int


def write(
    slide: Slide, path: str | Path, options: WriteOptions | None = None, progress: Progress | None = None
) -> Written:
    """Write a one-plane slide as a pyramidal TIFF.

    Parameters
    ----------
    slide : Slide
        A slide with one plane, such as a `FlatSlide`.
    path : path
        The output; it appears whole, or not at all.
    options : WriteOptions
        What to copy, quality, levels, overwriting, threads.
    progress : callable
        Called with (stage, done, total) in rows of tiles; an exception it raises cancels the writing.

    Memory: per thread about three rows of tiles of level 0 (each width × tile height pixels), and two rows of each
    level above; 16 bytes per tile of the output. Independent of the height but for these.

    Raises
    ------
    OptionError
        Where the slide has several planes, or the quality cannot be had.
    WriteError
        Where writing fails, or the file does not read back as what was meant.
    """
    options, path = options or WriteOptions(), Path(path)
    with replacing(path, overwrite=options.overwrite) as temporary:
        return replace(write_file(slide, temporary, options, progress), path=path)


def write_file(slide: Slide, path: Path, options: WriteOptions, progress: Progress | None) -> Written:
    """Write and check a new file under the very name given, for callers that rename several outputs together."""
    if len(slide.planes) != 1:
        raise OptionError(f"{slide.name}: has {len(slide.planes)} planes; flatten it before writing")
    source = tile_source(slide, options)
    with path.open("xb", buffering=_BUFFER) as file:
        assembler = TiffAssembler(file, bigtiff=_raw_bytes(slide) > _CLASSIC_LIMIT)
        output = _Output(source, assembler)
        output.fill(options.jobs, progress)
        output.finish(options)
        # Here, and not on renaming: several outputs are renamed together, and that must not take long.
        file.flush()
        os.fsync(file.fileno())
    checked = compare(path, source, SAMPLE).tiles_checked
    return Written(
        path,
        path.stat().st_size,
        source.plan.levels,
        source.encoder.encoding,
        output.copied,
        sum(level.columns * level.rows for level in source.plan.levels) - output.copied,
        output.bytes_copied,
        checked,
    )


def tile_source(slide: Slide, options: WriteOptions) -> TileSource:
    """Return where the tiles of an output come from.

    Raises
    ------
    OptionError
        Where copying is asked for, and not a single tile could be copied.
    """
    lossless = DeflateTiles(slide.dtype, len(slide.channels))
    encoder = lossless if options.lossless else choose_encoder(slide, options.quality)
    copying = options.mode != "encode" and options.quality is None
    source = TileSource.of(slide, plan_levels(slide, options.levels), encoder, copying=copying)
    if options.mode == "copy" and not source.copying:
        reason = slide.sizes_refusal(0) or "its tiles are no JPEG that may stand in one image"
        raise OptionError(f"{slide.name}: tiles cannot be copied: {reason}; use --write auto")
    return source


def _raw_bytes(slide: Slide) -> int:
    full = slide.levels[0]
    return full.width * full.height * len(slide.channels) * slide.dtype.itemsize


class _Output:
    """A file that is being filled."""

    def __init__(self, source: TileSource, assembler: TiffAssembler) -> None:
        self._source, self._assembler = source, assembler
        self._places: list[list[NDArray[np.int64]]] = [[] for _ in source.plan.levels]
        self._small: dict[bytes, int] = {}
        self.copied = self.bytes_copied = 0

    def fill(self, jobs: int, progress: Progress | None) -> None:
        """Write all tiles, a band of rows at a time."""
        plan = self._source.plan
        done, total = 0, sum(plan.levels[segment.first].rows for segment in plan.segments)
        for segment in plan.segments:
            rows = plan.levels[segment.first].rows
            outer = _OuterLevels(self._source, segment.first + INNER, segment.stop)
            step = band_rows(segment)
            starts = range(0, rows, step)
            with in_threads(self._source.band, ((segment, start) for start in starts), jobs, ordered=True) as bands:
                for start, (finished, rest) in zip(starts, bands, strict=True):
                    self._add(finished)
                    self._add(outer.rows(rest, end=start + step >= rows))
                    if progress:
                        progress("writing", done + min(start + step, rows), total)
            done += rows

    def _add(self, rows: Iterator[Row] | list[Row]) -> None:
        for row in rows:
            fresh: list[bytes] = []
            offsets, position = [], self._assembler.position
            for tile in row.tiles:
                offset = self._small.get(tile) if len(tile) <= _SMALL_TILE else None
                if offset is None:
                    offset, position = position, position + len(tile)
                    fresh.append(tile)
                    if len(tile) <= _SMALL_TILE and len(self._small) < _SMALL_TILES:
                        self._small[tile] = offset
                offsets.append(offset)
            self._assembler.append(b"".join(fresh))
            self._places[row.level].append(np.array([offsets, [len(tile) for tile in row.tiles]], np.int64))
            self.copied += row.copied
            self.bytes_copied += row.bytes_copied

    def finish(self, options: WriteOptions) -> None:
        """Write the directories."""
        source = self._source
        slide, levels = source.slide, source.plan.levels
        tags = [self._tags(index, np.concatenate(self._places[index], axis=1)) for index in range(len(levels))]
        reduced = tuple(Ifd(each) for each in tags[1:])
        extra = associated_ifds(slide, self._assembler, label=options.label, macro=options.macro)
        description = describe_output(slide, options.layout, [name for name, _ in extra], 1 + len(reduced))
        named = {Tag.IMAGE_DESCRIPTION: text(description), Tag.SOFTWARE: text(f"planish {__version__}")}
        first = Ifd({**tags[0], **named}, reduced)
        self._assembler.finish([first, *reduced, *(ifd for _, ifd in extra)])

    def _tags(self, index: int, places: NDArray[np.int64]) -> dict[int, Value]:
        source, level = self._source, self._source.plan.levels[index]
        if places.shape[1] != level.columns * level.rows:
            raise WriteError(f"{places.shape[1]} tiles of {level} were made; a fault of planish: please report it")
        channels = len(source.slide.channels)
        return {
            Tag.SUBFILE_TYPE: long(int(index > 0)),
            Tag.IMAGE_WIDTH: long(level.width),
            Tag.IMAGE_LENGTH: long(level.height),
            Tag.BITS_PER_SAMPLE: short([8 * source.slide.dtype.itemsize] * channels),
            Tag.SAMPLES_PER_PIXEL: short(channels),
            Tag.PLANAR_CONFIGURATION: short(1),
            Tag.TILE_WIDTH: long(level.tile_width),
            Tag.TILE_LENGTH: long(level.tile_height),
            Tag.TILE_OFFSETS: self._assembler.offsets(places[0]),
            Tag.TILE_BYTE_COUNTS: long(places[1]),
            **source.encoder.tags(source.page_tables[index]),
            **level_tags(source.slide, level),
        }


class _OuterLevels:
    """The levels of a segment above those that a band fills by itself."""

    def __init__(self, source: TileSource, first: int, stop: int) -> None:
        self._source, self._first, self._served = source, first, first < stop
        self._ladder = Ladder(first, [level.tile_height for level in source.plan.levels[first:stop]])

    def rows(self, rest: list[NDArray[np.generic]], *, end: bool) -> Iterator[Row]:
        """Encode what became whole by what bands left over."""
        for index, band in enumerate(rest if self._served else []):
            for level, row in self._ladder.push(self._first, band, end=end and index == len(rest) - 1):
                yield self._source.encode_row(level, row)
