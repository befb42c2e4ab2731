"""`BigJpeg`: one JPEG of any size, written band by band, with restart markers between chunks as Hamamatsu has them.

Each chunk is encoded as a JPEG of its own, on several threads; its entropy-coded bytes are those of a restart interval,
as both start afresh and end on a byte. So no encoder ever sees the whole image, and all chunks share the first header.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from typing import Any

from numpy.typing import NDArray

from planish.jpeg import read_header, split
from planish.model import Encoding
from planish.write.jpeg import encode

_FRAME_END = 21  # of an abbreviated stream: SOI, then the frame header of three components
_LARGEST_SIDE = 0xFFFF


class BigJpeg:
    """A JPEG that grows downwards.

    Parameters
    ----------
    width, height : int
        Of the image. Sides that JPEG cannot state are written as 0, as Hamamatsu does; only the container tells them.
    encoding : Encoding
        YCbCr JPEG.
    chunk_width : int
        Upper bound of a restart interval's width in pixels, rounded up to MCUs; an interval is one MCU high.
    sink : callable
        Takes the bytes in order.

    Attributes
    ----------
    starts : list of int
        Where each chunk's entropy-coded bytes start, from the JPEG's first byte on.
    size : int
        Bytes so far.
    """

    def __init__(
        self, width: int, height: int, encoding: Encoding, chunk_width: int, sink: Callable[[bytes], object]
    ) -> None:
        self._width, self._height = width, height
        self._encoding, self._sink = encoding, sink
        self._mcu_width, self._mcu_height = (8 * factor for factor in encoding.subsampling)
        self._interval = self._restart_interval(chunk_width)
        self.starts: list[int] = []
        self.size = 0

    def add(self, band: NDArray[Any], pool: Executor) -> None:
        """Append the next rows, a multiple of the MCU's height but for the last ones."""
        for jpeg in pool.map(lambda chunk: encode(chunk, self._encoding), self._cut(band)):
            marker = bytes([0xFF, 0xD0 + (len(self.starts) - 1) % 8])
            self._write(marker if self.starts else self._header(jpeg))
            self.starts.append(self.size)
            self._write(jpeg[read_header(jpeg).scan : -2])

    def finish(self) -> None:
        """End the stream."""
        self._write(b"\xff\xd9")

    def _restart_interval(self, chunk_width: int) -> int:
        """Return the MCUs of a chunk: the most that fill every row of MCUs evenly."""
        across = -(-self._width // self._mcu_width)
        wanted = -(-chunk_width // self._mcu_width)
        return max(count for count in range(1, wanted + 1) if across % count == 0)

    def _cut(self, band: NDArray[Any]) -> Iterator[NDArray[Any]]:
        step = self._interval * self._mcu_width
        for y in range(0, len(band), self._mcu_height):
            for x in range(0, self._width, step):
                yield band[y : y + self._mcu_height, x : x + step]

    def _header(self, jpeg: bytes) -> bytes:
        tables, stream = split(jpeg)
        stated = (side if side <= _LARGEST_SIDE else 0 for side in (self._height, self._width))
        frame = stream[2:7] + struct.pack(">HH", *stated) + stream[11:_FRAME_END]
        restarts = struct.pack(">HHH", 0xFFDD, 4, self._interval)
        return tables[:-2] + frame + restarts + stream[_FRAME_END : read_header(stream, tables).scan]

    def _write(self, data: bytes) -> None:
        self._sink(data)
        self.size += len(data)
