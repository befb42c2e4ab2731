"""`Page`: an image on its way into a TIFF file, band by band; only offsets are held."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from planish.model import Plane
from planish.phantom.codec import Codec, choose_codec
from planish.phantom.options import ContainerOptions
from planish.phantom.pyramid import Cascade, kept_downsamples, read_bands
from planish.slide.base import Slide
from planish.write.assembler import Tag, TiffAssembler, Value, long, rational, short

_STRIP_ROWS = 16


@dataclass
class Page:
    """One image of a file.

    Attributes
    ----------
    tiff : TiffAssembler
        Where the compressed bytes go.
    codec : Codec
        Compresses them.
    width, height, channels : int
        Of the image.
    dtype : numpy.dtype
        Of its pixels.
    tile : int or None
        Edge of its tiles, None for strips.
    """

    tiff: TiffAssembler
    codec: Codec
    width: int
    height: int
    channels: int
    dtype: np.dtype[Any]
    tile: int | None
    _offsets: list[int] = field(default_factory=list)
    _sizes: list[int] = field(default_factory=list)

    def add(self, band: NDArray[Any], pool: Executor) -> None:
        """Append the next rows: as many as a tile is high, or a multiple of the strips', but for the last."""
        for data in pool.map(self.codec.encode, self._cut(band)):
            self._offsets.append(self.tiff.append(data))
            self._sizes.append(len(data))

    def tags(self, subfile: int = 0) -> dict[int, Value]:
        """Return what the directory says of the image, once all of it is in the file; `subfile` is its kind."""
        tags = {
            Tag.SUBFILE_TYPE: long(subfile),
            Tag.IMAGE_WIDTH: long(self.width),
            Tag.IMAGE_LENGTH: long(self.height),
            Tag.BITS_PER_SAMPLE: short([8 * self.dtype.itemsize] * self.channels),
            Tag.SAMPLES_PER_PIXEL: short(self.channels),
            Tag.SAMPLE_FORMAT: short([{"u": 1, "i": 2, "f": 3}[self.dtype.kind]] * self.channels),
            Tag.PLANAR_CONFIGURATION: short(1),
        }
        return {**tags, **self.codec.tags, **self._index()}

    def _index(self) -> dict[int, Value]:
        offsets, sizes = self.tiff.offsets(self._offsets), long(self._sizes)
        if self.tile is None:
            rows = short(_STRIP_ROWS)
            return {Tag.STRIP_OFFSETS: offsets, Tag.STRIP_BYTE_COUNTS: sizes, Tag.ROWS_PER_STRIP: rows}
        edge = short(self.tile)
        return {
            Tag.TILE_WIDTH: edge,
            Tag.TILE_LENGTH: edge,
            Tag.TILE_OFFSETS: offsets,
            Tag.TILE_BYTE_COUNTS: sizes,
        }

    def _cut(self, band: NDArray[Any]) -> Iterator[NDArray[Any]]:
        if self.tile is None:
            yield from (band[y : y + _STRIP_ROWS] for y in range(0, len(band), _STRIP_ROWS))
            return
        for x in range(0, self.width, self.tile):
            cut = band[:, x : x + self.tile]
            missing = (self.tile - cut.shape[0], self.tile - cut.shape[1])
            yield np.pad(cut, ((0, missing[0]), (0, missing[1]), (0, 0)), mode="edge") if any(missing) else cut


@dataclass
class PlaneWriter:
    """Writes the planes of a slide as pages, a pyramid each.

    Attributes
    ----------
    slide : Slide
        Where the pixels come from.
    options : ContainerOptions
        How they are stored.
    tiff : TiffAssembler
        Where they go.
    pool : Executor
        Threads that read and compress.
    """

    slide: Slide
    options: ContainerOptions
    tiff: TiffAssembler
    pool: Executor

    @property
    def downsamples(self) -> list[int]:
        """The levels that the file has."""
        full = self.slide.levels[0]
        return kept_downsamples(full.width, full.height, self.options.downsamples)

    def write(
        self, planes: Sequence[Plane], watch: Callable[[NDArray[Any]], None] = lambda band: None
    ) -> list[list[Page]]:
        """Write planes side by side and return the pages of each, full size first.

        `watch` sees the bands of the first plane's smallest page. Held in memory: one band per plane and level.
        """
        levels = self.downsamples
        steps = [larger // smaller for smaller, larger in pairwise(levels)]
        pages = [[self._page(downsample) for downsample in levels] for _ in planes]
        cascades = [Cascade(steps, self.options.tile) for _ in planes]

        def add(index: int, bands: Iterable[tuple[int, NDArray[Any]]]) -> None:
            for level, band in bands:
                pages[index][level].add(band, self.pool)
                if index == 0 and level == len(levels) - 1:
                    watch(band)

        for bands in read_bands(self.slide, [plane.index for plane in planes], self.options.tile, self.pool):
            for index, band in enumerate(bands):
                add(index, cascades[index].feed(band))
        for index, cascade in enumerate(cascades):
            add(index, cascade.finish())
        return pages

    def _page(self, downsample: int) -> Page:
        full, channels = self.slide.levels[0], len(self.slide.channels)
        codec = choose_codec(self.options, self.slide.dtype, channels)
        tile = self.options.tile if self.options.tiled else None
        size = full.width // downsample, full.height // downsample
        return Page(self.tiff, codec, *size, channels, self.slide.dtype, tile)


def resolution_tags(mpp_x: float | None, mpp_y: float | None) -> dict[int, Value]:
    """Return pixels per centimetre, where µm per pixel are known."""
    if not mpp_x or not mpp_y:
        return {}
    return {
        Tag.X_RESOLUTION: rational(1e4 / mpp_x),
        Tag.Y_RESOLUTION: rational(1e4 / mpp_y),
        Tag.RESOLUTION_UNIT: short(3),
    }
