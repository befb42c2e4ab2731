"""NDPI: Hamamatsu's TIFF with 64-bit offsets; one page per plane and level, each one big JPEG with restart markers."""

from __future__ import annotations

import struct
import tempfile
from collections.abc import Sequence
from concurrent.futures import Executor
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from planish.errors import OptionError
from planish.model import Encoding, Plane
from planish.phantom.bigjpeg import BigJpeg
from planish.phantom.options import ContainerOptions
from planish.phantom.pages import resolution_tags
from planish.phantom.planes import file_order
from planish.phantom.pyramid import Cascade, kept_downsamples, read_bands
from planish.slide.base import Slide
from planish.write.assembler import (
    Entry,
    Flavour,
    Ifd,
    Tag,
    TiffAssembler,
    Value,
    float32,
    long,
    short,
    slong,
    text,
)
from planish.write.jpeg import encode, standard_encoding

_FORMAT, _MAGNIFICATION, _X_OFFSET, _Y_OFFSET, _Z_OFFSET = 65420, 65421, 65422, 65423, 65424
_MCU_STARTS, _MCU_STARTS_HIGH = 65426, 65432
_MACRO_MAGNIFICATION = -1.0
_UNKNOWN_POWER = 20.0  # the tag is not optional
_COPY_BYTES = 1 << 20


@dataclass(frozen=True)
class NdpiFlavour(Flavour):
    """Entries of classic TIFF, followed by the upper halves of their last fields; offsets have 64 bits."""

    def holds(self, value: Value) -> bool:
        """Whether a value stands in its entry: four bytes, or one number whose upper half stands apart."""
        return len(value.data) <= self.inline or (value.kind, value.length) == (4, 1)

    def directory(self, entries: Sequence[Entry], following: int) -> bytes:
        """Return a directory's bytes; `following` is the offset of the next one in the chain, or 0."""
        fields = [entry.field.ljust(8, b"\0") for entry in entries]
        lower = [entry._replace(field=field[:4]) for entry, field in zip(entries, fields, strict=True)]
        return super().directory(lower, following) + b"".join(field[4:] for field in fields)


_FLAVOUR = NdpiFlavour(b"II\x2a\0", "<Q", "<H", "<HHI4s", inline=4, limit=2**63 - 1, ifd_kind=13)


class NdpiAssembler(TiffAssembler):
    """Assembles an NDPI file.

    OpenSlide guesses the upper halves of offsets and is right only where a directory follows its data within 4 GiB;
    the directories stand at the end, so larger files are for other readers.
    """

    @property
    def flavour(self) -> Flavour:
        """The flavour of TIFF."""
        return _FLAVOUR


def write_ndpi(slide: Slide, file: BinaryIO, options: ContainerOptions, pool: Executor) -> None:
    """Write the slide's planes as an NDPI into an open file: plane by plane all levels, then the macro.

    OpenSlide shows the plane at z = 0 and no other. It leaves black whatever does not fill a chunk, so that it sees all
    of an image only where the sides of every level are multiples of the MCU; and it fails on chroma halved both ways.
    """
    if len(slide.channels) != 3 or slide.dtype != np.uint8:
        raise OptionError(f"an NDPI holds 8-bit RGB, not {len(slide.channels)} channels of {slide.dtype}")
    tiff = NdpiAssembler(file, bigtiff=False)
    encoding = standard_encoding(options.quality, "ycbcr", options.chroma)
    writer = _NdpiWriter(slide, options, tiff, pool, encoding)
    chain = [ifd for plane in file_order(slide, options.shuffle) for ifd in writer.write(plane)]
    if options.macro is not None:
        chain.append(_macro(tiff, options.macro, encoding))
    tiff.finish(chain)


@dataclass
class _NdpiWriter:
    slide: Slide
    options: ContainerOptions
    tiff: NdpiAssembler
    pool: Executor
    encoding: Encoding

    def write(self, plane: Plane) -> list[Ifd]:
        """Write all levels of a plane in one pass; the upper ones wait in temporary files, as each is one strip."""
        full = self.slide.levels[0]
        downsamples = kept_downsamples(full.width, full.height, self.options.downsamples)
        offset = self.tiff.position
        with ExitStack() as stack:
            waiting = [stack.enter_context(tempfile.TemporaryFile()) for _ in downsamples[1:]]
            sinks = [self.tiff.append, *(spool.write for spool in waiting)]
            jpegs = [self._jpeg(downsample, sink) for downsample, sink in zip(downsamples, sinks, strict=True)]
            self._fill(plane, jpegs, downsamples)
            offsets = [offset, *(_copy(spool, self.tiff) for spool in waiting)]
        return [Ifd(self._tags(plane, *level)) for level in zip(downsamples, jpegs, offsets, strict=True)]

    def _jpeg(self, downsample: int, sink: Any) -> BigJpeg:
        full = self.slide.levels[0]
        width, height = full.width // downsample, full.height // downsample
        return BigJpeg(width, height, self.encoding, self.options.chunk_width or width, sink)

    def _fill(self, plane: Plane, jpegs: list[BigJpeg], downsamples: list[int]) -> None:
        cascade = Cascade([b // a for a, b in pairwise(downsamples)], self.options.tile)
        for (band,) in read_bands(self.slide, [plane.index], self.options.tile, self.pool):
            for level, rows in cascade.feed(band):
                jpegs[level].add(rows, self.pool)
        for level, rows in cascade.finish():
            jpegs[level].add(rows, self.pool)
        for jpeg in jpegs:
            jpeg.finish()

    def _tags(self, plane: Plane, downsample: int, jpeg: BigJpeg, offset: int) -> dict[int, Value]:
        metadata, full = self.slide.metadata, self.slide.levels[0]
        z_um = float(plane.index) if plane.z_um is None else plane.z_um
        power = metadata.objective_power or _UNKNOWN_POWER
        mpp = [None if um is None else um * downsample for um in (metadata.mpp_x, metadata.mpp_y)]
        return {
            **_page_tags(full.width // downsample, full.height // downsample, offset, jpeg.size),
            **resolution_tags(*mpp),
            **_subsampling_tag(self.encoding),
            _MAGNIFICATION: float32(power / downsample),
            _Z_OFFSET: slong(round(z_um * 1000)),
            **mcu_start_tags(jpeg.starts),
        }


def mcu_start_tags(starts: Sequence[int]) -> dict[int, Value]:
    """Return where the chunks start: the lower halves, and the upper ones where any is not 0.

    One chunk needs no index, and readers take a lone number for the offset of an array.
    """
    if len(starts) < 2:
        return {}
    array = np.asarray(starts, np.uint64)
    tags = {_MCU_STARTS: long(array & np.uint64(0xFFFFFFFF))}
    if (array >> np.uint64(32)).any():
        tags[_MCU_STARTS_HIGH] = long(array >> np.uint64(32))
    return tags


def _page_tags(width: int, height: int, offset: int, size: int) -> dict[int, Value]:
    return {
        Tag.IMAGE_WIDTH: long(width),
        Tag.IMAGE_LENGTH: long(height),
        Tag.BITS_PER_SAMPLE: short([8, 8, 8]),
        Tag.COMPRESSION: short(7),
        Tag.PHOTOMETRIC: short(6),
        Tag.MAKE: text("Hamamatsu"),
        Tag.MODEL: text("C13210"),
        Tag.STRIP_OFFSETS: _wide(offset),
        Tag.SAMPLES_PER_PIXEL: short(3),
        Tag.ROWS_PER_STRIP: long(height),
        Tag.STRIP_BYTE_COUNTS: _wide(size),
        Tag.SOFTWARE: text("planish phantom"),
        _FORMAT: short(1),
        _X_OFFSET: slong(0),
        _Y_OFFSET: slong(0),
    }


def _subsampling_tag(encoding: Encoding) -> dict[int, Value]:
    return {Tag.YCBCR_SUBSAMPLING: short(encoding.subsampling)}


def _wide(number: int) -> Value:
    """Return a LONG whose upper half may be used, which NDPI keeps apart."""
    return Value(4, 1, struct.pack("<Q", number))


def _macro(tiff: NdpiAssembler, pixels: NDArray[Any], encoding: Encoding) -> Ifd:
    jpeg = encode(pixels, encoding)
    offset, (height, width, _) = tiff.append(jpeg), pixels.shape
    page = _page_tags(width, height, offset, len(jpeg))
    return Ifd({**page, **_subsampling_tag(encoding), _MAGNIFICATION: float32(_MACRO_MAGNIFICATION)})


def _copy(spool: Any, tiff: NdpiAssembler) -> int:
    """Append what waits in a temporary file and return its offset."""
    offset = tiff.position
    spool.seek(0)
    while block := spool.read(_COPY_BYTES):
        tiff.append(block)
    return offset
