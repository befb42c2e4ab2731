"""NDPI: a level is one big JPEG with restart markers; runs of its restart intervals make tiles without decoding."""

from __future__ import annotations

from typing import Any

import imagecodecs
import numpy as np
import tifffile
from numpy.typing import NDArray

from planish.errors import SlideError, TileError
from planish.jpeg import read_header
from planish.slide.bytefile import ByteFile, ChunkCache
from planish.slide.foreign import reason
from planish.slide.page import VIRTUAL_TILE, TiffImage

_EOI = b"\xff\xd9"
_SOF0, _HEIGHT_AT = b"\xff\xc0", 5


class NdpiImage(TiffImage):
    """A level of an NDPI whose restart intervals are known (tag 65426).

    A tile is a block of intervals, about 256 px high and at least 256 px wide, as wide as one interval where that is
    wider. Its JPEG is the level's header with the block's size, and the intervals with their markers numbered anew.
    """

    def __init__(self, page: tifffile.TiffPage, file: ByteFile, cache: ChunkCache) -> None:
        super().__init__(page, file, cache)
        header = page.jpegheader or b""
        self._header = _resized(header, self.tile_width, self.tile_height)
        mcu = read_header(header).mcu
        if self.chunk_width % mcu[0] or self.chunk_height != mcu[1]:
            raise SlideError(f"{file.path}: its restart intervals are no rows of MCUs; export the slide again")

    def _grid(self) -> tuple[bool, int, int]:
        self._wide = max(1, round(VIRTUAL_TILE / self.chunk_width))
        self._high = max(1, VIRTUAL_TILE // self.chunk_height)
        return False, self._wide * self.chunk_width, self._high * self.chunk_height

    @property
    def whole_tiles(self) -> bool:
        """Always: tiles are put together from the file's bytes."""
        return True

    def _block(self, column: int, row: int) -> NDArray[np.intp]:
        """Return the intervals of a tile row by row; beyond the image the last ones repeat."""
        columns = np.minimum(column * self._wide + np.arange(self._wide), self.across - 1)
        rows = np.minimum(row * self._high + np.arange(self._high), self.down - 1)
        return (rows[:, None] * self.across + columns).ravel()

    def sizes(self) -> NDArray[np.int64]:
        """Return the bytes of the intervals of each tile, (rows, columns); repeated ones count once."""
        grid = self.counts[: self.across * self.down].reshape(self.down, self.across)
        by_row = np.add.reduceat(grid, np.arange(0, self.down, self._high), axis=0)
        return np.asarray(np.add.reduceat(by_row, np.arange(0, self.across, self._wide), axis=1))

    def encoded(self, column: int, row: int) -> bytes:
        """Return a tile as a whole JPEG.

        Raises
        ------
        TileError
            Where an interval does not end in the restart marker that its place asks for.
        """
        parts = [self._header]
        for place, index in enumerate(self._block(column, row).tolist()):
            data = self.file.read(int(self.offsets[index]), int(self.counts[index]))
            parts += [self._entropy(data, index), bytes((0xFF, 0xD0 + place % 8))]
        parts[-1] = _EOI
        return b"".join(parts)

    def _entropy(self, data: bytes, index: int) -> bytes:
        """Return an interval without the marker at its end."""
        last = index == self.across * self.down - 1
        end = data.rfind(_EOI) if last else len(data) - 2
        if end < 0 or data[end : end + 2] != (_EOI if last else bytes((0xFF, 0xD0 + index % 8))):
            raise TileError(
                f"{self.file.path}: restart interval {index} does not end in its marker; the file is damaged: "
                "export the slide again"
            )
        return data[:end]

    def read_tile(self, column: int, row: int) -> NDArray[Any]:
        """Decode one tile, (height, width, samples), cropped to the image."""
        data = self.encoded(column, row)
        try:
            pixels = np.asarray(imagecodecs.jpeg8_decode(data))
            pixels = pixels.reshape(*pixels.shape[:2], self.stored)
        except Exception as error:  # the codec raises errors of several kinds
            raise TileError(
                f"{self.file.path}: tile ({column}, {row}) cannot be decoded ({reason(error)}); the file is damaged: "
                "export it again"
            ) from error
        return self._cropped(pixels, column, row, self.tile_width, self.tile_height)


def _resized(header: bytes, width: int, height: int) -> bytes:
    """Return a JPEG header for an image of another size."""
    place = header.index(_SOF0) + _HEIGHT_AT
    return header[:place] + height.to_bytes(2, "big") + width.to_bytes(2, "big") + header[place + 4 :]
