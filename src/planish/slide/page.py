"""One image of a TIFF file - a level of a plane - as a grid of tiles, read from several threads."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import tifffile
from numpy.typing import NDArray

from planish.errors import SlideError, TileError, UnsupportedSlide
from planish.jpeg import read_header
from planish.model import Encoding

VIRTUAL_TILE = 256
"""Tile size in px served where storage has strips or tiles of unwieldy size."""
MIN_CHUNK, MAX_CHUNK = 64, 1024
"""Storage tiles between these sizes in px are served as they are."""
MAX_CHUNK_BYTES = 2 << 30
"""A single strip or tile beyond this is taken for a corrupt header."""
CACHE_BYTES = 96 << 20
"""Bound of the decoded strips that one slide keeps, so that a row of virtual tiles decodes each strip once."""
_JPEG, _JPEG2000_YCBCR = 7, 33003
_CODECS = {
    1: "none", 5: "lzw", 8: "deflate", 32946: "deflate", 33003: "jpeg2000", 33004: "jpeg2000", 33005: "jpeg2000",
    34712: "jpeg2000", 50000: "zstd",
}  # fmt: skip


class ByteFile:
    """A file read at offsets from several threads."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("rb")
        self._lock = threading.Lock()
        self.size = path.stat().st_size

    def read(self, offset: int, count: int) -> bytes:
        """Read exactly `count` bytes at `offset`, or raise TileError."""
        if offset < 0 or count < 0 or offset + count > self.size:
            raise TileError(
                f"{self.path}: a tile's {count} bytes at {offset} reach past the end of the file "
                f"({self.size} bytes); the file is truncated or damaged: export it again"
            )
        if hasattr(os, "pread"):
            return os.pread(self._file.fileno(), count, offset)
        with self._lock:
            self._file.seek(offset)
            return self._file.read(count)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class ChunkCache:
    """Decoded strips, least recently used out first, bounded in bytes (one entry always stays)."""

    def __init__(self, limit: int = CACHE_BYTES) -> None:
        self._limit = limit
        self._held = 0
        self._entries: OrderedDict[tuple[int, int], NDArray[Any]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: tuple[int, int]) -> NDArray[Any] | None:
        """Return the chunk and mark it as used."""
        with self._lock:
            if key in self._entries:
                self._entries.move_to_end(key)
            return self._entries.get(key)

    def put(self, key: tuple[int, int], chunk: NDArray[Any]) -> None:
        """Keep a chunk."""
        with self._lock:
            if key in self._entries:
                return
            self._entries[key] = chunk
            self._held += chunk.nbytes
            while self._held > self._limit and len(self._entries) > 1:
                self._held -= self._entries.popitem(last=False)[1].nbytes


class TiffImage:
    """The pixels of one TIFF page.

    Attributes
    ----------
    width, height, samples : int
        Size in px, and samples per pixel.
    tile_width, tile_height : int
        Of the grid that `read_tile` serves: the storage grid, or a virtual one over strips.
    """

    def __init__(self, page: tifffile.TiffPage, file: ByteFile, cache: ChunkCache) -> None:
        self._page, self._file, self._cache = page, file, cache
        self.width, self.height, self.samples = page.imagewidth, page.imagelength, page.samplesperpixel
        if page.dtype is None or page.imagedepth != 1:
            raise UnsupportedSlide(
                f"{file.path}: {page.bitspersample}-bit samples of format {page.sampleformat} are not read; convert it"
            )
        self.dtype = np.dtype(page.dtype)
        self._chunk_width = page.tilewidth or page.imagewidth
        self._chunk_height = page.tilelength or page.rowsperstrip or page.imagelength
        self._chunk_height = min(self._chunk_height, page.imagelength) if not page.tilewidth else self._chunk_height
        self._across = -(-self.width // self._chunk_width)
        self._down = -(-self.height // self._chunk_height)
        self._separate = page.samplesperpixel if page.planarconfig == 2 and page.samplesperpixel > 1 else 1
        self._check_sizes()
        sizes = (self._chunk_width, self._chunk_height)
        self.virtual = not all(MIN_CHUNK <= size <= MAX_CHUNK for size in sizes)
        self.tile_width, self.tile_height = (VIRTUAL_TILE, VIRTUAL_TILE) if self.virtual else sizes
        self._jpeg = {"jpegtables": page.jpegtables, "jpegheader": page.jpegheader} if page.compression == _JPEG else {}
        page.decode  # noqa: B018 - tifffile caches its decoder on first access, which must not race between threads

    def _check_sizes(self) -> None:
        page = self._page
        needed = self._across * self._down * self._separate
        found = min(len(page.dataoffsets), len(page.databytecounts))
        if found < needed:
            raise SlideError(
                f"{self._file.path}: claims {self.width} × {self.height} px in {needed} tiles but lists {found}; "
                "the header is damaged: export the slide again"
            )
        size = self._chunk_width * self._chunk_height * self.samples * self.dtype.itemsize
        if size > MAX_CHUNK_BYTES:
            raise UnsupportedSlide(
                f"{self._file.path}: one strip of {self._chunk_width} × {self._chunk_height} px is too large to decode "
                "at once; convert the file to a tiled TIFF"
            )

    @cached_property
    def encoding(self) -> Encoding | None:
        """How the tiles are compressed, from the first one; None where it is a JPEG that planish could not write."""
        page = self._page
        color = {2: "rgb", 6: "ycbcr"}.get(int(page.photometric), "gray")
        if page.compression != _JPEG:
            return Encoding(_CODECS.get(int(page.compression), f"tiff-{int(page.compression)}"), color)
        written = next((index for index, count in enumerate(page.databytecounts) if count), None)
        if written is None:
            return None
        data = self._file.read(page.dataoffsets[written], page.databytecounts[written])
        try:
            return read_header((page.jpegheader or b"") + data, page.jpegtables or b"").encoding(color)
        except SlideError:
            return None

    def read_tile(self, column: int, row: int) -> NDArray[Any]:
        """Decode one tile of the served grid, (height, width, samples), cropped to the image."""
        if not self.virtual:
            return self._chunk(column, row)
        left, top = column * self.tile_width, row * self.tile_height
        right, bottom = min(left + self.tile_width, self.width), min(top + self.tile_height, self.height)
        tile = np.empty((bottom - top, right - left, self.samples), self.dtype)
        for chunk_row in range(top // self._chunk_height, -(-bottom // self._chunk_height)):
            for chunk_column in range(left // self._chunk_width, -(-right // self._chunk_width)):
                x, y = chunk_column * self._chunk_width, chunk_row * self._chunk_height
                chunk = self._cached_chunk(chunk_column, chunk_row)
                x0, y0, x1, y1 = (
                    max(left, x),
                    max(top, y),
                    min(right, x + chunk.shape[1]),
                    min(bottom, y + chunk.shape[0]),
                )
                tile[y0 - top : y1 - top, x0 - left : x1 - left] = chunk[y0 - y : y1 - y, x0 - x : x1 - x]
        return tile

    def _cached_chunk(self, column: int, row: int) -> NDArray[Any]:
        key = (id(self), row * self._across + column)
        chunk = self._cache.get(key)
        if chunk is None:
            chunk = self._chunk(column, row)
            self._cache.put(key, chunk)
        return chunk

    def _chunk(self, column: int, row: int) -> NDArray[Any]:
        index = row * self._across + column
        per_plane = self._across * self._down
        parts = [self._decode(index + sample * per_plane) for sample in range(self._separate)]
        chunk = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=2)
        width = min(self._chunk_width, self.width - column * self._chunk_width)
        height = min(self._chunk_height, self.height - row * self._chunk_height)
        if chunk.shape[0] < height or chunk.shape[1] < width or chunk.shape[2] != self.samples:
            raise TileError(
                f"{self._file.path}: tile ({column}, {row}) decodes to {chunk.shape[1]} × {chunk.shape[0]} px, "
                f"expected {width} × {height}; the file is damaged"
            )
        return chunk[:height, :width]

    def _decode(self, index: int) -> NDArray[Any]:
        count = self._page.databytecounts[index]
        if not count:
            return self._blank()
        data = self._file.read(self._page.dataoffsets[index], count)
        try:
            pixels, _, _ = self._page.decode(data, index, _fullsize=False, **self._jpeg)
        except Exception as error:  # the codecs raise errors of many kinds
            raise TileError(
                f"{self._file.path}: tile {index} cannot be decoded ({error}); the file is damaged"
            ) from error
        if pixels is None:
            return self._blank()
        pixels = pixels[0]
        if self._page.compression == _JPEG2000_YCBCR and pixels.shape[2] == 3:
            # Aperio's 33003 holds YCbCr without saying so inside the code stream; cv2 wants Y, Cr, Cb.
            pixels = cv2.cvtColor(np.ascontiguousarray(pixels[..., [0, 2, 1]]), cv2.COLOR_YCrCb2RGB)
        return np.asarray(pixels)

    def _blank(self) -> NDArray[Any]:
        """Return an unwritten tile: white where the image is brightfield RGB, else zero."""
        fill = 255 if self.samples == 3 and self.dtype == np.uint8 else 0
        return np.full((self._chunk_height, self._chunk_width, self.samples // self._separate), fill, self.dtype)


def read_page(page: tifffile.TiffPage) -> NDArray[Any]:
    """Read a small page whole, (height, width, samples)."""
    pixels = np.asarray(page.asarray())
    return pixels if pixels.ndim == 3 else pixels[..., None]


def as_pages(pages: Sequence[Any]) -> list[tifffile.TiffPage]:
    """Turn tifffile's abbreviated frames into pages of their own, each with its own JPEG tables."""
    return [page if isinstance(page, tifffile.TiffPage) else page.aspage() for page in pages]
