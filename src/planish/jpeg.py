"""JPEG as bytes: read how a stream is coded, split off its tables, join them again; no pixel is touched."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from typing import NamedTuple

from planish.encoding import Encoding
from planish.errors import SlideError

_SOI, _EOI = b"\xff\xd8", b"\xff\xd9"
_DHT, _SOS, _DQT, _DRI, _APP0, _APP2, _APP14 = 0xC4, 0xDA, 0xDB, 0xDD, 0xE0, 0xE2, 0xEE
_SEQUENTIAL = (0xC0, 0xC1)
_FRAMES = frozenset(range(0xC0, 0xD0)) - {_DHT, 0xC8, 0xCC}
_APPLICATION = frozenset(range(0xE0, 0xF0)) | {0xFE}
_TEXT = _APPLICATION - {_APP0, _APP2, _APP14}
"""Comments, and application data other than JFIF's, Adobe's and colour profiles."""

# Says that three components are RGB; without it, a decoder that sees a lone tile takes them for YCbCr.
_ADOBE_RGB = b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00\x00"


class Component(NamedTuple):
    """A colour component: its name in the stream, sampling factors, number of its quantisation table."""

    identifier: int
    horizontal: int
    vertical: int
    table: int


@dataclass(frozen=True)
class JpegHeader:
    """What a JPEG says before its scan.

    Attributes
    ----------
    width, height : int
        In pixels.
    components : tuple of Component
        In file order.
    tables : tuple of (int, bytes)
        Quantisation tables by number, 64 values in zigzag order.
    restart_interval : int
        MCUs between restart markers, 0 for none.
    adobe_transform : int or None
        0 for RGB, 1 for YCbCr, None without an Adobe marker.
    scan : int
        Where the entropy-coded bytes start.
    """

    width: int
    height: int
    components: tuple[Component, ...]
    tables: tuple[tuple[int, bytes], ...]
    restart_interval: int
    adobe_transform: int | None
    scan: int

    @property
    def mcu(self) -> tuple[int, int]:
        """Width and height of a minimum coded unit in pixels."""
        if len(self.components) == 1:
            return 8, 8
        return 8 * max(c.horizontal for c in self.components), 8 * max(c.vertical for c in self.components)

    @property
    def color(self) -> str:
        """``"gray"``, ``"rgb"`` or ``"ycbcr"``, as a decoder takes a stream without a container."""
        if len(self.components) == 1:
            return "gray"
        named_rgb = bytes(c.identifier for c in self.components) == b"RGB"
        return "rgb" if self.adobe_transform == 0 or (self.adobe_transform is None and named_rgb) else "ycbcr"

    def encoding(self, color: str | None = None) -> Encoding:
        """Return how the stream is compressed.

        Parameters
        ----------
        color : str, optional
            What the container says of the colour space; it overrides the stream.

        Raises
        ------
        SlideError
            Where a table is missing, or the components are none that planish could encode.
        """
        color = color or self.color
        if len(self.components) != (1 if color == "gray" else 3):
            raise SlideError(f"the JPEG has {len(self.components)} components, which does not suit {color}")
        numbered = dict(self.tables)
        missing = {c.table for c in self.components} - set(numbered)
        if missing:
            raise SlideError(f"the JPEG lacks its quantisation tables {sorted(missing)}")
        used = tuple(numbered[c.table] for c in self.components)
        first, *others = self.components
        if any((c.horizontal, c.vertical) != (1, 1) for c in others) or used[1:2] != used[2:]:
            raise SlideError("the JPEG's colour components differ in sampling or tables in a way planish cannot encode")
        # A lone component is never subsampled, whatever factors it states.
        subsampling = (first.horizontal, first.vertical) if others else (1, 1)
        shared = color == "rgb" and used[0] == used[1]
        return Encoding("jpeg", color, subsampling, used[: 1 if shared or not others else 2])


def read_header(data: bytes, tables: bytes = b"") -> JpegHeader:
    """Read a JPEG's header.

    Parameters
    ----------
    data : bytes
        A whole JPEG, an abbreviated tile, or the start of either that reaches into the scan.
    tables : bytes
        TIFF's JPEGTables, where `data` is abbreviated.

    Raises
    ------
    SlideError
        Where it is no JPEG, or not a sequential one with 8 bits and 8-bit tables.
    """
    found: dict[int, bytes] = {}
    frame, interval, adobe, scan = b"", 0, None, 0
    for marker, segment, stop in chain(_segments(tables), _segments(data)):
        payload = segment[4:]
        if marker == _DQT:
            found.update(_read_tables(payload))
        elif marker in _FRAMES:
            if marker not in _SEQUENTIAL or payload[0] != 8:
                raise SlideError("the JPEG is not sequential with 8 bits, which planish does not re-encode")
            frame = payload
        elif marker == _DRI:
            interval = int.from_bytes(payload[:2], "big")
        elif marker == _APP14 and payload[:5] == b"Adobe":
            adobe = payload[11]
        elif marker == _SOS:
            scan = stop
    if not frame or not scan:
        raise SlideError("the JPEG ends before its image; the file is damaged")
    components = tuple(Component(c[0], c[1] >> 4, c[1] & 15, c[2]) for c in _chunks(frame[6:], 3))
    height, width = int.from_bytes(frame[1:3], "big"), int.from_bytes(frame[3:5], "big")
    return JpegHeader(width, height, components, tuple(sorted(found.items())), interval, adobe, scan)


def split(jpeg: bytes) -> tuple[bytes, bytes]:
    """Split a JPEG into what TIFF calls JPEGTables, and a tile without tables and application markers."""
    segments = list(_segments(jpeg))
    tables = [segment for marker, segment, _ in segments if marker in (_DQT, _DHT)]
    rest = [segment for marker, segment, _ in segments if marker not in _APPLICATION | {_DQT, _DHT}]
    return b"".join([_SOI, *tables, _EOI]), b"".join([_SOI, *rest, jpeg[segments[-1][2] :]])


def join(tile: bytes, tables: bytes, color: str) -> bytes:
    """Make a tile a whole JPEG that shows the right colours on its own.

    Parameters
    ----------
    tile : bytes
        As it stands in the file, whole or abbreviated.
    tables : bytes
        The page's JPEGTables, empty where it has none.
    color : str
        What the page says of the colour space.
    """
    if _has_tables(tile):
        tables = b""
    if color != "rgb":
        return _inlined(tables, b"") + tile[len(_SOI) :]
    return _inlined(tables, _ADOBE_RGB) + _unmarked(tile)[len(_SOI) :]


def has_text(jpeg: bytes) -> bool:
    """Whether a JPEG holds comments or application data, such as Exif, which may hold anything."""
    return any(marker in _TEXT for marker, _, _ in _segments(jpeg))


def _unmarked(data: bytes) -> bytes:
    """Return a stream without the markers at its start that speak of colours: by JFIF it is YCbCr, whatever Adobe says.

    libjpeg believes JFIF, and so do most programs.
    """
    kept, start = [_SOI], len(_SOI)
    for marker, segment, stop in _segments(data):
        if marker not in _APPLICATION:
            break
        if marker not in (_APP0, _APP14):
            kept.append(segment)
        start = stop
    return b"".join([*kept, data[start:]])


def _has_tables(tile: bytes) -> bool:
    """Whether a tile carries its own tables, which come before its scan."""
    return any(marker == _DQT for marker, _, _ in _segments(tile))


@lru_cache(maxsize=64)
def _inlined(tables: bytes, marker: bytes) -> bytes:
    """Return what replaces a tile's SOI; cached, as all tiles of a page share it."""
    bare = _unmarked(tables) if marker else tables
    return _SOI + marker + bare[len(_SOI) :].removesuffix(_EOI)


def _segments(data: bytes) -> Iterator[tuple[int, bytes, int]]:
    """Yield the segments up to the scan's header: the marker's second byte, the bytes from the marker on, their end."""
    if not data:
        return
    if data[:2] != _SOI:
        raise SlideError("the data does not start like a JPEG; the file is damaged or uses another codec")
    start = 2
    while data[start : start + 2] != _EOI:
        stop = start + 2 + int.from_bytes(data[start + 2 : start + 4], "big")
        if data[start : start + 1] != b"\xff" or stop > len(data) or stop < start + 4:
            raise SlideError("the JPEG's header is damaged or cut off")
        yield data[start + 1], data[start:stop], stop
        if data[start + 1] == _SOS:
            return
        start = stop


def _read_tables(payload: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the numbered tables of a DQT segment."""
    for chunk in _chunks(payload, 65):
        if chunk[0] >> 4 or len(chunk) != 65:
            raise SlideError("the JPEG has 16-bit quantisation tables, which planish does not re-encode")
        yield chunk[0], chunk[1:]


def _chunks(data: bytes, size: int) -> Iterator[bytes]:
    return (data[i : i + size] for i in range(0, len(data), size))
