"""`DicomFile`: an image's frames streamed into a DICOM file, whose head is written again when they are all known."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from typing import BinaryIO

import numpy as np
from pydicom import dcmwrite
from pydicom.dataset import Dataset

from planish.errors import WriteError

_OFFSETS, _LENGTHS, _PIXELS = (0x7FE0, 0x0001), (0x7FE0, 0x0002), (0x7FE0, 0x0010)
_ITEM = struct.pack("<HH", 0xFFFE, 0xE000)
_END = struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
_UNDEFINED = 0xFFFFFFFF


class DicomFile:
    """Writes compressed frames, one fragment each, with an extended table of offsets before them.

    Holds 16 bytes for each frame.

    Parameters
    ----------
    file : BinaryIO
        Opened for writing, at its start.
    frames : int
        How many there will be.
    describe : callable
        Bytes of all frames -> attributes and file meta information, of one length whatever the number.
    """

    def __init__(self, file: BinaryIO, frames: int, describe: Callable[[int], Dataset]) -> None:
        self._file, self._count, self._describe = file, frames, describe
        self._offsets: list[int] = []
        self._lengths: list[int] = []
        self._position = 0
        head = self._head()
        self._head_length = len(head)
        file.write(head)

    @property
    def pixel_bytes(self) -> int:
        """Bytes of the frames so far."""
        return sum(self._lengths)

    def _head(self) -> bytes:
        """Return all that stands before the first frame."""
        buffer = io.BytesIO()
        dcmwrite(buffer, self._describe(self.pixel_bytes), enforce_file_format=True)
        for tag, numbers in ((_OFFSETS, self._offsets), (_LENGTHS, self._lengths)):
            table = np.zeros(self._count, "<u8")
            table[: len(numbers)] = numbers
            buffer.write(struct.pack("<HH2sHI", *tag, b"OV", 0, table.nbytes) + table.tobytes())
        # An empty basic table, as the extended one asks for.
        buffer.write(struct.pack("<HH2sHI", *_PIXELS, b"OB", 0, _UNDEFINED) + _ITEM + struct.pack("<I", 0))
        return buffer.getvalue()

    def append(self, frame: bytes) -> None:
        """Write the next frame; one of odd length gets a byte more, which the table counts, as readers want."""
        even = len(frame) + len(frame) % 2
        self._file.write(_ITEM + struct.pack("<I", even) + frame + bytes(even - len(frame)))
        self._offsets.append(self._position)
        self._lengths.append(even)
        self._position += len(_ITEM) + 4 + even

    def finish(self) -> None:
        """Close the frames, and write the head as it should be."""
        if len(self._offsets) != self._count:
            raise WriteError(f"{len(self._offsets)} of {self._count} frames were made; a fault of planish: report it")
        self._file.write(_END)
        head = self._head()
        if len(head) != self._head_length:
            raise WriteError("the head of a DICOM file changed its length; a fault of planish: please report it")
        self._file.seek(0)
        self._file.write(head)
        self._file.flush()
