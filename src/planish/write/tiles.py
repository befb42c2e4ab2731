"""Every tile of an output, as bytes: copied from the slide where it can be, else composed, halved and encoded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from planish.model import EncodedTile, Level
from planish.slide.base import Slide
from planish.write.encode import TileEncoder
from planish.write.levels import LevelPlan, Segment
from planish.write.pyramid import Ladder, fill_tile, halve

BAND = 4
"""Rows of tiles that one thread does at once where levels are halved: enough for whole rows of the two levels above."""
INNER = BAND.bit_length()
"""Levels that a band of tiles fills with whole rows."""


def band_rows(segment: Segment) -> int:
    """Return how many rows of tiles of a segment are done at once: one where nothing is halved, to hold few."""
    return BAND if segment.stop > segment.first + 1 else 1


class Row(NamedTuple):
    """A row of tiles of an output level: their bytes, how many of them were copied, and the bytes of those."""

    level: int
    tiles: list[bytes]
    copied: int = 0
    bytes_copied: int = 0


@dataclass(frozen=True)
class TileSource:
    """Where the tiles of an output come from.

    Attributes
    ----------
    slide : Slide
        One plane.
    plan : LevelPlan
        The output's levels.
    encoder : TileEncoder
        For tiles that are composed.
    copying : bool
        Whether the slide's own tiles may be copied.
    page_tables : tuple of bytes
        JPEG tables of each level of the output.
    """

    slide: Slide
    plan: LevelPlan
    encoder: TileEncoder
    copying: bool
    page_tables: tuple[bytes, ...]

    @classmethod
    def of(cls, slide: Slide, plan: LevelPlan, encoder: TileEncoder, *, copying: bool) -> TileSource:
        """Choose each page's JPEG tables: those of the first tile copied to it, so that copies need not change."""
        source = slide.encoding(0, 0)
        copying = copying and source is not None and source.codec == "jpeg" == encoder.encoding.codec
        plain = cls(slide, plan, encoder, copying, (encoder.tables,) * len(plan.levels))
        tables = list(plain.page_tables)
        for segment in plan.segments:
            tables[segment.first] = plain._first_tables(segment) or encoder.tables
        return cls(slide, plan, encoder, copying, tuple(tables))

    def _first_tables(self, segment: Segment) -> bytes:
        for row in range(self.plan.levels[segment.first].rows):
            for tile in self.copies(segment, row):
                if tile is not None:
                    return tile.tables
        return b""

    def _copyable(self, segment: Segment) -> bool:
        """Whether tiles of the segment's first level may be the slide's own: same grid, and compressed alike."""
        level, source = self.plan.levels[segment.first], self.slide.levels[segment.source]
        same = (level.tile_width, level.tile_height) == (source.tile_width, source.tile_height)
        encoding = self.slide.encoding(segment.source, 0)
        return self.copying and same and encoding is not None and encoding.alike(self.encoder.encoding)

    def copies(self, segment: Segment, row: int) -> list[EncodedTile | None]:
        """Return what can be copied to a row of tiles of the segment's first level."""
        columns = self.plan.levels[segment.first].columns
        if not self._copyable(segment):
            return [None] * columns
        return self.slide.encoded_row(segment.source, row, np.zeros(columns, np.int16))

    def copy(self, level: int, column: int, row: int) -> EncodedTile | None:
        """Return what can be copied to one tile of the output; as `copies`, without reading its neighbours."""
        segment = self.plan.segment_of(level)
        if level != segment.first or not self._copyable(segment):
            return None
        return self.slide.encoded_tile(segment.source, 0, column, row)

    def band(self, segment: Segment, first: int) -> tuple[list[Row], list[NDArray[Any]]]:
        """Do a band of rows of a segment; return them, those above that became whole, and what is left over."""
        level = self.plan.levels[segment.first]
        inner = self.plan.levels[segment.first : min(segment.stop, segment.first + INNER)]
        ladder = Ladder(segment.first, [each.tile_height for each in inner])
        rows: list[Row] = []
        for row in range(first, min(first + band_rows(segment), level.rows)):
            copies = self.copies(segment, row)
            if segment.stop == segment.first + 1:
                rows.append(self._row(segment, row, copies, None))
                continue
            box = level.tile_box(0, row)
            pixels = self.slide.read_region(segment.source, 0, 0, box.y, level.width, box.height)
            for index, band in ladder.push(segment.first, pixels, end=row == level.rows - 1):
                if index == segment.first:
                    rows.append(self._row(segment, row, copies, band))
                else:
                    rows.append(self.encode_row(index, band))
        return rows, ladder.rest

    def encode_row(self, level: int, band: NDArray[Any]) -> Row:
        """Encode a row of tiles that was halved."""
        size = self.plan.levels[level]
        tiles = [self._encode(level, part) for part in _cut(band, size)]
        return Row(level, tiles)

    def _row(self, segment: Segment, row: int, copies: list[EncodedTile | None], band: NDArray[Any] | None) -> Row:
        """Copy what can be copied of a row, and encode the rest."""
        level, tables = self.plan.levels[segment.first], self.page_tables[segment.first]
        tiles = []
        for column, tile in enumerate(copies):
            if tile is not None:
                tiles.append(tile.data if tile.tables == tables else tile.whole)
                continue
            x, y, width, height = level.tile_box(column, row)
            box = (segment.source, 0, x, y, width, height)
            pixels = self.slide.read_region(*box) if band is None else band[:, x : x + width]
            tiles.append(self._encode(segment.first, pixels))
        copied = [len(data) for data, tile in zip(tiles, copies, strict=True) if tile is not None]
        return Row(segment.first, tiles, len(copied), sum(copied))

    def encoded(self, level: int, pixels: NDArray[Any]) -> bytes:
        """Return a tile of these pixels as an image that decodes on its own, where it is a JPEG."""
        size = self.plan.levels[level]
        return self.encoder.encode(fill_tile(pixels, size.tile_width, size.tile_height), b"")

    def stored(self, level: int, pixels: NDArray[Any]) -> NDArray[Any]:
        """Return the pixels of a tile as they read from the output, where it is a JPEG."""
        size = self.plan.levels[level]
        decoded = np.asarray(imagecodecs.jpeg8_decode(self.encoded(level, pixels)))
        return decoded.reshape(size.tile_height, size.tile_width, -1)[: pixels.shape[0], : pixels.shape[1]]

    def _encode(self, level: int, pixels: NDArray[Any]) -> bytes:
        size = self.plan.levels[level]
        return self.encoder.encode(fill_tile(pixels, size.tile_width, size.tile_height), self.page_tables[level])

    def meant(self, level: int, column: int, row: int) -> NDArray[Any]:
        """Return the pixels that a tile of the output was made of, (height, width, channels)."""
        segment, size = self.plan.segment_of(level), self.plan.levels[level]
        x, y, width, height = size.tile_box(column, row)
        source, factor = self.slide.levels[segment.source], 2 ** (level - segment.first)
        x, y = x * factor, y * factor
        width, height = min(width * factor, source.width - x), min(height * factor, source.height - y)
        pixels = self.slide.read_region(segment.source, 0, x, y, width, height)
        for _ in range(level - segment.first):
            pixels = halve(pixels)
        return pixels


def _cut(band: NDArray[Any], level: Level) -> Iterator[NDArray[Any]]:
    """Yield the tiles of a row of tiles."""
    for x in range(0, level.width, level.tile_width):
        yield band[:, x : x + level.tile_width]
