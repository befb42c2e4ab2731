"""One image of a TIFF file - a level of a plane - as a grid of tiles, read from several threads."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from functools import cached_property, partial
from typing import Any

import cv2
import numpy as np
import tifffile
from numpy.typing import NDArray

from planish.encoding import Encoding
from planish.errors import SlideError, TileError, UnsupportedSlide
from planish.jpeg import read_header
from planish.slide.bytefile import ByteFile, ChunkCache
from planish.slide.colours import conversion
from planish.slide.foreign import reason

VIRTUAL_TILE = 256
"""Tile size in px served where storage has strips or tiles of unwieldy size."""
MIN_CHUNK, MAX_CHUNK = 64, 1024
"""Storage tiles between these sizes in px are served as they are."""
WIDEST_TILE = 8192
"""px: tiles may be longer than strips, as those copied from an NDPI are."""
MAX_CHUNK_BYTES = 2 << 30
"""A single strip or tile beyond this is taken for a corrupt header."""
_MANY = 1024
"""Tiles from which on their places are kept as arrays."""
JPEG, _JPEG2000_YCBCR = 7, 33003
_CODECS = {
    1: "none", 5: "lzw", 8: "deflate", 32946: "deflate", 33003: "jpeg2000", 33004: "jpeg2000", 33005: "jpeg2000",
    34712: "jpeg2000", 50000: "zstd",
}  # fmt: skip


class TiffImage:
    """The pixels of one TIFF page.

    Attributes
    ----------
    width, height, samples : int
        Size in px, and samples per pixel as served.
    stored : int
        Samples per pixel in the file: one more where an alpha channel is laid over white.
    converted : Conversion or None
        What is done to pixels after decoding; None where they are served as they are stored.
    tile_width, tile_height : int
        Of the grid that `read_tile` serves: the storage grid, or a virtual one over strips.
    virtual : bool
        Whether the grid is virtual; its tiles have no bytes of their own.
    offsets, counts : ndarray of int64
        Where each storage tile or strip stands in the file, and its bytes.
    """

    def __init__(self, page: tifffile.TiffPage, file: ByteFile, cache: ChunkCache) -> None:
        self.page, self.file, self._cache = page, file, cache
        self.width, self.height, self.stored = page.imagewidth, page.imagelength, page.samplesperpixel
        self.dtype = self._known_dtype()
        self.converted = conversion(page, file.path)
        self.samples = self.converted.samples if self.converted else self.stored
        self.chunk_width = page.tilewidth or page.imagewidth
        self.chunk_height = page.tilelength or min(page.rowsperstrip or page.imagelength, page.imagelength)
        self.across = -(-self.width // self.chunk_width)
        self.down = -(-self.height // self.chunk_height)
        self._separate = page.samplesperpixel if page.planarconfig == 2 and page.samplesperpixel > 1 else 1
        self.offsets, self.counts = (np.asarray(a, np.int64) for a in (page.dataoffsets, page.databytecounts))
        needed = self.across * self.down * self._separate
        self._check_sizes(needed)
        # What is listed beyond the image is no part of it, and damage may list more places than sizes.
        self.offsets, self.counts = self.offsets[:needed], self.counts[:needed]
        self.virtual, self.tile_width, self.tile_height = self._grid()
        self._jpeg = {"jpegtables": self.tables or None, "jpegheader": page.jpegheader} if self._is_jpeg else {}
        page.decode  # noqa: B018 - tifffile caches its decoder on first access, which must not race between threads

    def _known_dtype(self) -> np.dtype[Any]:
        page = self.page
        if page.imagedepth != 1:
            raise UnsupportedSlide(
                f"{self.file.path}: a page holds a volume of {page.imagedepth} images; save one page per plane"
            )
        if page.dtype is None or page.dtype.kind not in "uif":
            raise UnsupportedSlide(
                f"{self.file.path}: {page.bitspersample}-bit samples of format {page.sampleformat} are not read; "
                "convert it to 8 or 16 bits"
            )
        return np.dtype(page.dtype)

    def _grid(self) -> tuple[bool, int, int]:
        """Return whether the served grid is virtual, and its tiles' width and height."""
        sizes = (self.chunk_width, self.chunk_height)
        longest = WIDEST_TILE if self.page.is_tiled else MAX_CHUNK
        virtual = min(sizes) < MIN_CHUNK or max(sizes) > longest or sizes[0] * sizes[1] > MAX_CHUNK**2 * 4
        return virtual, *((VIRTUAL_TILE, VIRTUAL_TILE) if virtual else sizes)

    def _check_sizes(self, needed: int) -> None:
        found = min(len(self.offsets), len(self.counts))
        if found < needed:
            raise SlideError(
                f"{self.file.path}: claims {self.width} × {self.height} px in {needed} tiles but lists {found}; "
                "the header is damaged: export the slide again"
            )
        if self.chunk_width * self.chunk_height * self.stored * self.dtype.itemsize > MAX_CHUNK_BYTES:
            raise UnsupportedSlide(
                f"{self.file.path}: one strip of {self.chunk_width} × {self.chunk_height} px is too large to decode "
                "at once; convert the file to a tiled TIFF"
            )

    @property
    def color(self) -> str:
        """The colour space that the page claims, as in `Encoding`."""
        return {2: "rgb", 6: "ycbcr"}.get(int(self.page.photometric), "gray")

    @property
    def tables(self) -> bytes:
        """JPEG tables that the tiles lack."""
        tables = self.page.jpegtables
        return tables if isinstance(tables, bytes) else b""

    @property
    def _is_jpeg(self) -> bool:
        return int(self.page.compression) == JPEG

    @property
    def whole_tiles(self) -> bool:
        """Whether a tile of the served grid is one run of bytes of the file."""
        return not self.virtual and self._separate == 1 and self.page.is_tiled

    @cached_property
    def encoding(self) -> Encoding | None:
        """How the tiles are compressed, from the first one; None where it is a JPEG that planish could not write."""
        if not self._is_jpeg:
            codec = int(self.page.compression)
            return Encoding(_CODECS.get(codec, f"tiff-{codec}"), self.color)
        written = np.flatnonzero(self.counts)
        if not len(written):
            return None
        try:
            data = self.file.read(int(self.offsets[written[0]]), int(self.counts[written[0]]))
        except SlideError:
            return None
        return jpeg_encoding((self.page.jpegheader or b"") + data, self.tables, self.color)

    def sizes(self) -> NDArray[np.int64]:
        """Return the bytes of each tile of the served grid, (rows, columns)."""
        return self.counts[: self.across * self.down].reshape(self.down, self.across)

    def index_fault(self) -> str | None:
        """Return what is wrong with the tiles' places in the file, None where they can be trusted."""
        written = self.counts > 0
        starts, counts = self.offsets[written], self.counts[written]
        size = self.file.size
        # Each alone as well: the sum of absurd numbers wraps around.
        outside = (starts < 8) | (starts > size) | (counts > size) | (starts + counts > size)
        if self.counts.min(initial=0) < 0 or outside.any():
            return "a tile's bytes reach past the end of the file"
        stops = starts + counts
        if (starts[1:] >= stops[:-1]).all():
            return None  # in file order, as scanners write
        order = np.lexsort((counts, starts))
        starts, stops = starts[order], stops[order]
        # Tiles may share all of their bytes, as blank ones do, but not some.
        overlapping = (starts[1:] < stops[:-1]) & ((starts[1:] != starts[:-1]) | (stops[1:] != stops[:-1]))
        return "tiles overlap in the file" if overlapping.any() else None

    def encoded(self, column: int, row: int) -> bytes | None:
        """Return a tile's bytes, None where it was not written."""
        index = row * self.across + column
        count = int(self.counts[index])
        return self.file.read(int(self.offsets[index]), count) if count else None

    def read_tile(self, column: int, row: int) -> NDArray[Any]:
        """Decode one tile of the served grid, (height, width, samples), cropped to the image."""
        if not self.virtual:
            return self._chunk(column, row)
        left, top = column * self.tile_width, row * self.tile_height
        right, bottom = min(left + self.tile_width, self.width), min(top + self.tile_height, self.height)
        tile = np.empty((bottom - top, right - left, self.samples), self.dtype)
        for chunk_row in range(top // self.chunk_height, -(-bottom // self.chunk_height)):
            for chunk_column in range(left // self.chunk_width, -(-right // self.chunk_width)):
                x, y = chunk_column * self.chunk_width, chunk_row * self.chunk_height
                chunk = self._cached_chunk(chunk_column, chunk_row)
                x0, y0 = max(left, x), max(top, y)
                x1, y1 = min(right, x + chunk.shape[1]), min(bottom, y + chunk.shape[0])
                tile[y0 - top : y1 - top, x0 - left : x1 - left] = chunk[y0 - y : y1 - y, x0 - x : x1 - x]
        return tile

    def _cached_chunk(self, column: int, row: int) -> NDArray[Any]:
        size = self.chunk_width * self.chunk_height * self.samples * self.dtype.itemsize
        return self._cache.get((id(self), row * self.across + column), size, partial(self._chunk, column, row))

    def _chunk(self, column: int, row: int) -> NDArray[Any]:
        index = row * self.across + column
        per_plane = self.across * self.down
        parts = [self._decode(index + sample * per_plane) for sample in range(self._separate)]
        chunk = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=2)
        return self._cropped(chunk, column, row, self.chunk_width, self.chunk_height)

    def _cropped(self, chunk: NDArray[Any], column: int, row: int, wide: int, high: int) -> NDArray[Any]:
        """Crop a decoded chunk of a grid of `wide` × `high` chunks to the image, as grey or RGB."""
        width, height = min(wide, self.width - column * wide), min(high, self.height - row * high)
        if chunk.shape[0] < height or chunk.shape[1] < width or chunk.shape[2] != self.stored:
            raise TileError(
                f"{self.file.path}: tile ({column}, {row}) decodes to {chunk.shape[1]} × {chunk.shape[0]} px, "
                f"expected {width} × {height}; the file is damaged"
            )
        return self.converted.apply(chunk[:height, :width]) if self.converted else chunk[:height, :width]

    def _decode(self, index: int) -> NDArray[Any]:
        count = int(self.counts[index])
        if not count:
            return self._blank()
        data = self.file.read(int(self.offsets[index]), count)
        try:
            pixels, _, _ = self.page.decode(data, index, _fullsize=False, **self._jpeg)
        except Exception as error:  # the codecs raise errors of many kinds
            raise TileError(
                f"{self.file.path}: tile {index} cannot be decoded ({reason(error)}); the file is damaged: "
                "export it again"
            ) from error
        if pixels is None:
            return self._blank()
        pixels = pixels[0]
        if self.page.compression == _JPEG2000_YCBCR and pixels.shape[2] == 3:
            # Aperio's 33003 holds YCbCr without saying so inside the code stream; cv2 wants Y, Cr, Cb.
            pixels = cv2.cvtColor(np.ascontiguousarray(pixels[..., [0, 2, 1]]), cv2.COLOR_YCrCb2RGB)
        return np.asarray(pixels)

    def _blank(self) -> NDArray[Any]:
        """Return an unwritten tile: white where the image is brightfield RGB, else zero."""
        fill = 255 if self.stored == 3 and self.dtype == np.uint8 else 0
        return np.full((self.chunk_height, self.chunk_width, self.stored // self._separate), fill, self.dtype)


def jpeg_encoding(data: bytes, tables: bytes = b"", color: str | None = None) -> Encoding | None:
    """Return how a JPEG is compressed, None where planish could not write its like or its header is damaged."""
    try:
        return read_header(data, tables).encoding(color)
    except (SlideError, IndexError):
        return None


def read_page(page: tifffile.TiffPage) -> NDArray[Any]:
    """Read a small page whole, (height, width, samples)."""
    name = page.parent.filehandle.path
    if page.parent.filehandle.closed:
        raise SlideError(f"{name}: read after closing; open it again")
    try:
        pixels = np.asarray(page.asarray())
    except Exception as error:  # the codecs raise errors of many kinds
        raise TileError(f"{name}: image {page.index} cannot be decoded ({reason(error)}); export it again") from error
    return pixels if pixels.ndim == 3 else pixels[..., None]


def as_pages(pages: Iterable[Any]) -> list[tifffile.TiffPage]:
    """Turn tifffile's abbreviated frames into pages of their own, each with its own JPEG tables."""
    return [_slim(page if isinstance(page, tifffile.TiffPage) else _as_page(page)) for page in pages]


def _slim(page: tifffile.TiffPage) -> tifffile.TiffPage:
    """Keep the places of a page's tiles as arrays: as Python numbers, those of a large z-stack take 130 MiB.

    Not NumPy's arrays, as tifffile asks whether there are any by their truth.
    """
    for name, codes in (("dataoffsets", (273, 324)), ("databytecounts", (279, 325))):
        values = getattr(page, name)
        if len(values) > _MANY and isinstance(values, tuple):
            setattr(page, name, array("q", values))
            for code in codes:
                if code in page.tags:
                    page.tags[code].value = ()
    return page


def _as_page(frame: tifffile.TiffFrame) -> tifffile.TiffPage:
    if frame.parent.filehandle.closed:
        # tifffile closes the further files of a set; they close again with the first.
        frame.parent.filehandle.open()
    return frame.aspage()
