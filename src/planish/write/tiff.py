"""A one-plane slide becomes a pyramidal TIFF that opens everywhere.

The layout is *dual*: the levels stand in the page chain, where OpenSlide looks, and the first page points at the same
directories as its SubIFDs, where OME readers look. Directories come last, so that a cut-off file is never readable.
Channels that are no colours have a page each, with its levels as SubIFDs, as OME-TIFF has them.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from planish._version import __version__
from planish.errors import OptionError, WriteError
from planish.slide.base import Slide
from planish.slide.tiff import TiffSlide
from planish.threads import Progress
from planish.write.assembler import Ifd, Tag, TiffAssembler, Value, long, short, text
from planish.write.associated import associated_ifds
from planish.write.encode import DeflateTiles, choose_encoder
from planish.write.levels import plan_levels
from planish.write.metadata import describe_output, is_picture, level_tags
from planish.write.options import WriteOptions, Written
from planish.write.output import Container, Place, check_one_plane
from planish.write.rows import every_row
from planish.write.tiles import Row, TileSource
from planish.write.verify import SAMPLE, compare

_CLASSIC_LIMIT = 2 << 30
"""Bytes of raw pixels up to which a classic TIFF is written; BigTIFF beyond."""
_SMALL_TILE, _SMALL_TILES = 2048, 1024
"""Bytes up to which equal tiles, blank ones mostly, are stored once, and how many different ones are remembered."""
_BUFFER = 4 << 20
"""Bytes gathered before the system is asked to write."""


def write_file(slide: Slide, path: Path, options: WriteOptions, progress: Progress | None) -> Written:
    """Write and check a new file under the very name given, for callers that rename several outputs together."""
    check_tiff_options(slide, options)
    source = tile_source(slide, options)
    with path.open("xb", buffering=_BUFFER) as file:
        assembler = TiffAssembler(file, bigtiff=_raw_bytes(slide) > _CLASSIC_LIMIT)
        outputs = [_Output(one, assembler) for one in _apart(source)]
        for output in outputs:
            for row in every_row(output.source, options.jobs, progress):
                output.add(row)
        _finish(slide, assembler, [output.ifd() for output in outputs], options)
        # Here, and not on renaming: several outputs are renamed together, and that must not take long.
        file.flush()
        os.fsync(file.fileno())
    checked = compare(path, source, SAMPLE).tiles_checked
    return Written(
        path,
        path.stat().st_size,
        source.plan.levels,
        source.encoder.encoding,
        copied := sum(output.copied for output in outputs),
        len(outputs) * sum(level.columns * level.rows for level in source.plan.levels) - copied,
        sum(output.bytes_copied for output in outputs),
        checked,
    )


def check_tiff_options(slide: Slide, options: WriteOptions) -> None:
    """Raise OptionError where a slide cannot be written so as TIFF."""
    check_one_plane(slide)
    if options.study:
        raise OptionError("--study: only a DICOM series joins one; leave it out, or give the output the suffix .dicom")


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


def _apart(source: TileSource) -> list[TileSource]:
    """Return the source itself, or one per channel where these are no colours; such pixels are kept without loss."""
    slide = source.slide
    if is_picture(slide):
        return [source]
    encoder, tables = DeflateTiles(slide.dtype, 1), (b"",) * len(source.plan.levels)
    views = (slide.view(channels=[index]) for index in range(len(slide.channels)))
    return [TileSource(view, source.plan, encoder, False, tables) for view in views]


def _finish(slide: Slide, assembler: TiffAssembler, pages: list[Ifd], options: WriteOptions) -> None:
    """Write the directories: those of the pages, which tell of their levels, and of further images."""
    chain = [*pages, *pages[0].subifds] if len(pages) == 1 else pages
    extra = associated_ifds(slide, assembler, label=options.label, macro=options.macro)
    description = describe_output(slide, options.layout, [name for name, _ in extra], len(chain))
    named = {Tag.IMAGE_DESCRIPTION: text(description), Tag.SOFTWARE: text(f"planish {__version__}")}
    first = Ifd({**pages[0].tags, **named}, pages[0].subifds)
    assembler.finish([first, *chain[1:], *(ifd for _, ifd in extra)])


def _raw_bytes(slide: Slide) -> int:
    full = slide.levels[0]
    return full.width * full.height * len(slide.channels) * slide.dtype.itemsize


class _Output:
    """A file that is being filled with one image and its levels."""

    def __init__(self, source: TileSource, assembler: TiffAssembler) -> None:
        self.source, self._assembler = source, assembler
        self._places: list[list[NDArray[np.int64]]] = [[] for _ in source.plan.levels]
        self._small: dict[bytes, int] = {}
        self.copied = self.bytes_copied = 0

    def add(self, row: Row) -> None:
        """Write a row of tiles, the next one of its level."""
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

    def ifd(self) -> Ifd:
        """Return the directory of the full size, with those of the levels as its SubIFDs."""
        first, *reduced = (
            Ifd(self._tags(index, np.concatenate(places, axis=1))) for index, places in enumerate(self._places)
        )
        return Ifd(first.tags, tuple(reduced))

    def _tags(self, index: int, places: NDArray[np.int64]) -> dict[int, Value]:
        source, level = self.source, self.source.plan.levels[index]
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


def _fill(slide: Slide, place: Place, options: WriteOptions, progress: Progress | None) -> Written:
    return write_file(slide, place[0], options, progress)


CONTAINER = Container(check_tiff_options, _fill, source=tile_source, reader=TiffSlide)
