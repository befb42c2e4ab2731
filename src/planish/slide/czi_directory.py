"""The list of sub-blocks of a CZI, read at once and checked: libCZI is slow at it, and damaged sizes crash it."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from planish.errors import SlideError, TileError
from planish.slide.bytefile import ByteFile

COLUMNS = (
    "x", "y", "width", "height", "stored_width", "stored_height", "kind", "position", "S", "T", "Z", "C",
)  # fmt: skip
"""Of `read_directory`: place and size in level-0 pixels, size as stored, number of the pixel type, place of the
sub-block in the file, then scene, time, plane and channel."""
ABSENT = -1
"""Stands for the scene of sub-blocks that belong to none."""
_SEGMENT = struct.Struct("<16sqq")
"""Name, bytes allocated, bytes used: before each part of the file."""
_POSITION = 84
"""Of the directory's place in a file."""
_LIST = 128
"""Bytes in a directory segment before its entries."""
_ENTRY = struct.Struct("<2s26xi")
"""Schema and number of dimensions of an entry."""
_SIZES = struct.Struct("<iiq")
"""Of a sub-block: bytes of metadata, attachment and pixels."""
_DIMENSION = np.dtype([("name", "S4"), ("start", "<i4"), ("size", "<i4"), ("place", "<f4"), ("stored", "<i4")])
_MOST = 40
"""Dimensions of an entry: the format's limit, beyond which libCZI writes past its memory."""


def read_directory(file: ByteFile) -> NDArray[np.int64]:
    """Return a row of `COLUMNS` for each sub-block.

    Raises
    ------
    SlideError
        Where there is no directory, or a damaged one.
    """
    try:
        (place,) = struct.unpack("<q", file.read(_POSITION, 8))
        name, _, used = _SEGMENT.unpack(file.read(place, _SEGMENT.size))
        (count,) = struct.unpack("<i", file.read(place + _SEGMENT.size, 4))
        begin = place + _SEGMENT.size + _LIST
        data = file.read(begin, min(used - _LIST, file.size - begin))
    except TileError as error:
        raise _damaged(file, "its list of images is missing") from error
    if name.rstrip(b"\0") != b"ZISRAWDIRECTORY" or count < 0:
        raise _damaged(file, "its list of images is missing")
    starts, lengths = _entries(file, data, count)
    rows = np.zeros((count, len(COLUMNS)), np.int64)
    rows[:, COLUMNS.index("S")] = ABSENT
    for length in set(lengths.tolist()):
        _fill(rows, np.flatnonzero(lengths == length), np.frombuffer(data, np.uint8), starts, int(length))
    for side in ("width", "height"):
        size, stored = rows[:, COLUMNS.index(side)], rows[:, COLUMNS.index(f"stored_{side}")]
        np.copyto(stored, size, where=stored == 0)
        if min(size.min(initial=1), stored.min(initial=1)) < 1:
            raise _damaged(file, "its list of images holds one without pixels")
    return rows


def _damaged(file: ByteFile, what: str) -> SlideError:
    return SlideError(f"{file.path}: not a readable CZI: {what}; it may be truncated: copy or export it again")


def _entries(file: ByteFile, data: bytes, count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return where each entry starts, and how many dimensions it has."""
    found, place = [], 0
    for _ in range(count):
        schema, length = _ENTRY.unpack_from(data, place) if place + _ENTRY.size <= len(data) else (b"", 0)
        following = place + _ENTRY.size + length * _DIMENSION.itemsize
        if schema != b"DV" or not 0 < length <= _MOST or following > len(data):
            raise _damaged(file, "its list of images is damaged")
        found.append((place, length))
        place = following
    starts, lengths = np.array(found, np.int64).reshape(-1, 2).T
    return starts, lengths


def _fill(
    rows: NDArray[np.int64], which: NDArray[Any], data: NDArray[np.uint8], starts: NDArray[np.int64], length: int
) -> None:
    """Fill in the rows of the entries with `length` dimensions."""
    size = _ENTRY.size + length * _DIMENSION.itemsize
    entries = data[starts[which, None] + np.arange(size)]
    rows[which, COLUMNS.index("kind")] = entries[:, 2:6].copy().view("<i4")[:, 0]
    rows[which, COLUMNS.index("position")] = entries[:, 6:14].copy().view("<i8")[:, 0]
    dimensions = np.ascontiguousarray(entries[:, _ENTRY.size :]).view(_DIMENSION)
    for slot in range(length):
        listed = dimensions[:, slot]
        for name in set(listed["name"].tolist()):
            same = listed["name"] == name
            values = listed[same]
            for column, key in _targets(name.decode("ascii", "replace")).items():
                rows[which[same], COLUMNS.index(column)] = values[key]


def _targets(name: str) -> dict[str, str]:
    """Return which columns a dimension fills with which of its numbers."""
    if name in ("X", "Y"):
        side = "width" if name == "X" else "height"
        return {name.lower(): "start", side: "size", f"stored_{side}": "stored"}
    return {name: "start"} if name in "STZC" else {}


def check_block(file: ByteFile, position: int) -> None:
    """Raise TileError where a sub-block's own header cannot be right."""
    head = file.read(position, _SEGMENT.size + _SIZES.size + _ENTRY.size)
    sizes = _SIZES.unpack_from(head, _SEGMENT.size)
    schema, length = _ENTRY.unpack_from(head, _SEGMENT.size + _SIZES.size)
    named = head.startswith(b"ZISRAWSUBBLOCK\0") and schema == b"DV" and 0 < length <= _MOST
    if not named or min(sizes) < 0 or position + len(head) + sum(sizes) > file.size:
        raise TileError(
            f"{file.path}: the image at {position} in the file has a damaged header; the file is damaged: export it "
            "again"
        )
