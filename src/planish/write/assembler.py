"""A small TIFF writer that places bytes and builds directories (IFDs), and knows nothing of pixels.

Image data is appended in any order. The directories come last, and the header's pointer to the first of them last of
all: until then the header says that the file has no image, so that every reader refuses an interrupted file.

One `Ifd` may stand in the page chain *and* among the SubIFDs of another: it is then written once and reached both ways,
which is what the dual layout is. So one call serves a plain chain (``finish([a, b, c])``), SubIFDs (``a.subifds = (b,
c)``, ``finish([a])``), several images with SubIFDs each (``finish([a, d])``) and the dual layout (``finish([a, b, c])``
with ``a.subifds = (b, c)``).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import chain, pairwise
from typing import BinaryIO, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from planish.errors import WriteError


class Tag:
    """Numbers of the tags that planish writes."""

    SUBFILE_TYPE = 254
    IMAGE_WIDTH = 256
    IMAGE_LENGTH = 257
    BITS_PER_SAMPLE = 258
    COMPRESSION = 259
    PHOTOMETRIC = 262
    IMAGE_DESCRIPTION = 270
    MAKE = 271
    MODEL = 272
    STRIP_OFFSETS = 273
    SAMPLES_PER_PIXEL = 277
    ROWS_PER_STRIP = 278
    STRIP_BYTE_COUNTS = 279
    X_RESOLUTION = 282
    Y_RESOLUTION = 283
    PLANAR_CONFIGURATION = 284
    RESOLUTION_UNIT = 296
    SOFTWARE = 305
    PREDICTOR = 317
    TILE_WIDTH = 322
    TILE_LENGTH = 323
    TILE_OFFSETS = 324
    TILE_BYTE_COUNTS = 325
    SUB_IFDS = 330
    EXTRA_SAMPLES = 338
    SAMPLE_FORMAT = 339
    JPEG_TABLES = 347
    YCBCR_SUBSAMPLING = 530
    ICC_PROFILE = 34675


class Value(NamedTuple):
    """A tag's value as it stands in the file: TIFF data type, number of items, little-endian bytes."""

    kind: int
    length: int
    data: bytes


def _integers(kind: int, dtype: str, values: ArrayLike) -> Value:
    given = np.atleast_1d(values)
    packed = given.astype(dtype)
    if not np.array_equal(packed, given):
        raise WriteError(f"a TIFF value does not fit its data type {kind}: {given.min()} to {given.max()}")
    return Value(kind, packed.size, packed.tobytes())


def byte(data: bytes) -> Value:
    """Return a BYTE value."""
    return Value(1, len(data), data)


def text(string: str) -> Value:
    """Return an ASCII value; anything beyond ASCII is written as UTF-8, as OME-XML asks for."""
    data = string.encode() + b"\0"
    return Value(2, len(data), data)


def short(values: ArrayLike) -> Value:
    """Return a SHORT value, unsigned 16 bit."""
    return _integers(3, "<u2", values)


def long(values: ArrayLike) -> Value:
    """Return a LONG value, unsigned 32 bit."""
    return _integers(4, "<u4", values)


def rational(number: float) -> Value:
    """Return a RATIONAL value of a positive number, as near as two 32-bit integers come."""
    limit = max(1, min(10**6, (2**32 - 1) // (int(number) + 1)))
    return Value(5, 1, long(Fraction(number).limit_denominator(limit).as_integer_ratio()).data)


def undefined(data: bytes) -> Value:
    """Return an UNDEFINED value: bytes of any kind, e.g. JPEG tables or an ICC profile."""
    return Value(7, len(data), data)


def slong(values: ArrayLike) -> Value:
    """Return an SLONG value, signed 32 bit."""
    return _integers(9, "<i4", values)


def float32(number: float) -> Value:
    """Return a FLOAT value."""
    return Value(11, 1, struct.pack("<f", number))


def long8(values: ArrayLike) -> Value:
    """Return a LONG8 value, unsigned 64 bit; only BigTIFF has it."""
    return _integers(16, "<u8", values)


@dataclass(frozen=True, eq=False)
class Ifd:
    """One directory, told from others by identity.

    Attributes
    ----------
    tags : Mapping of int to Value
        In any order; SubIFDs are not among them.
    subifds : tuple of Ifd
        Reduced versions of this image.
    """

    tags: Mapping[int, Value]
    subifds: tuple[Ifd, ...] = ()


class Entry(NamedTuple):
    """A directory entry whose last field already holds the value, or the offset where it stands."""

    code: int
    kind: int
    length: int
    field: bytes


@dataclass(frozen=True)
class Flavour:
    """How a flavour of TIFF packs its numbers.

    Attributes
    ----------
    magic : bytes
        The header up to the pointer to the first directory.
    offset, number, entry : str
        struct formats of an offset, of the number of entries, of an entry.
    inline : int
        Bytes of a value that fit into its entry.
    limit : int
        No offset lies beyond it.
    ifd_kind : int
        Data type of offsets of directories.
    """

    magic: bytes
    offset: str
    number: str
    entry: str
    inline: int
    limit: int
    ifd_kind: int

    def holds(self, value: Value) -> bool:
        """Whether a value stands in its entry instead of an offset."""
        return len(value.data) <= self.inline

    def directory(self, entries: Sequence[Entry], following: int) -> bytes:
        """Return a directory's bytes; `following` is the offset of the next one in the chain, or 0."""
        packed = b"".join(struct.pack(self.entry, *entry) for entry in entries)
        return struct.pack(self.number, len(entries)) + packed + struct.pack(self.offset, following)

    def pack_offsets(self, offsets: Iterable[int]) -> bytes:
        """Return the offsets' bytes."""
        return b"".join(struct.pack(self.offset, offset) for offset in offsets)


CLASSIC = Flavour(b"II\x2a\0", "<I", "<H", "<HHI4s", inline=4, limit=2**32 - 1, ifd_kind=13)
BIG = Flavour(b"II\x2b\0\x08\0\0\0", "<Q", "<Q", "<HHQ8s", inline=8, limit=2**63 - 1, ifd_kind=18)


@dataclass
class TiffAssembler:
    """Writes a TIFF file into an empty, seekable binary file.

    Not to be called from two threads at once. Only offsets are held, never image data.

    Parameters
    ----------
    file : BinaryIO
        Opened for writing, at its start.
    bigtiff : bool
        BigTIFF, or classic TIFF with its limit of 4 GiB.
    """

    file: BinaryIO
    bigtiff: bool = True
    position: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self.append(self.flavour.magic + self.flavour.pack_offsets([0]))

    @property
    def flavour(self) -> Flavour:
        """The flavour of TIFF."""
        return BIG if self.bigtiff else CLASSIC

    def append(self, data: bytes) -> int:
        """Write bytes at the end of the file and return their offset.

        Raises
        ------
        WriteError
            Where a classic TIFF would grow beyond 4 GiB.
        """
        offset = self.position
        if offset + len(data) > self.flavour.limit:
            raise WriteError("more than 4 GiB do not fit into a classic TIFF; write a BigTIFF")
        self.file.write(data)
        self.position += len(data)
        return offset

    def offsets(self, values: ArrayLike) -> Value:
        """Return a value that holds offsets: LONG8 in a BigTIFF, else LONG."""
        return long8(values) if self.bigtiff else long(values)

    def finish(self, pages: Sequence[Ifd]) -> None:
        """Write the directories, then the pointer that makes the file readable.

        Parameters
        ----------
        pages : sequence of Ifd
            The page chain. Directories that are reached only as SubIFDs are not part of it.
        """
        ifds = list(dict.fromkeys(chain(pages, *(page.subifds for page in pages))))
        entries = [self._write_values(ifd) for ifd in ifds]
        self._align()
        offsets = self._place(ifds, entries)
        following = {page: offsets[after] for page, after in pairwise(pages)}
        for ifd, own in zip(ifds, entries, strict=True):
            self._write_ifd(ifd, own, offsets, following.get(ifd, 0))
        self.file.flush()
        self.file.seek(len(self.flavour.magic))
        self.file.write(self.flavour.pack_offsets([offsets[pages[0]]]))
        self.file.flush()

    def _write_values(self, ifd: Ifd) -> list[Entry]:
        """Write the values that do not fit into their entries."""
        entries = []
        for code, value in sorted(ifd.tags.items()):
            stored = value.data
            if not self.flavour.holds(value):
                self._align()
                stored = self.flavour.pack_offsets([self.append(stored)])
            entries.append(Entry(code, value.kind, value.length, stored))
        return entries

    def _place(self, ifds: Sequence[Ifd], entries: Sequence[list[Entry]]) -> dict[Ifd, int]:
        """Return where each directory will stand: one after the other, each followed by the offsets of its SubIFDs."""
        offsets, position = {}, self.position
        for ifd, own in zip(ifds, entries, strict=True):
            offsets[ifd] = position
            position = _aligned(position + self._directory_size(len(own) + bool(ifd.subifds)))
            position = _aligned(position + len(self.flavour.pack_offsets([0] * len(ifd.subifds))))
        return offsets

    def _directory_size(self, entries: int) -> int:
        return len(self.flavour.directory([Entry(0, 0, 0, b"")] * entries, 0))

    def _write_ifd(self, ifd: Ifd, entries: list[Entry], offsets: Mapping[Ifd, int], following: int) -> None:
        subifds = self.flavour.pack_offsets(offsets[reduced] for reduced in ifd.subifds)
        if subifds:
            behind = _aligned(self.position + self._directory_size(len(entries) + 1))
            pointer = self.flavour.pack_offsets([behind])
            value = subifds if len(subifds) <= self.flavour.inline else pointer
            entries = sorted([*entries, Entry(Tag.SUB_IFDS, self.flavour.ifd_kind, len(ifd.subifds), value)])
        self.append(self.flavour.directory(entries, following))
        self._align()
        self.append(subifds)
        self._align()

    def _align(self) -> None:
        """Go to a multiple of 8: TIFF wants even offsets of values, and aligned arrays can be mapped as they are."""
        self.append(bytes(_aligned(self.position) - self.position))


def _aligned(position: int) -> int:
    return -(-position // 8) * 8
