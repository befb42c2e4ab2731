"""`KlbHeader`: what stands before the blocks of a KLB file.

After the format's reference implementation (github.com/JaneliaSciComp/keller-lab-block-filetype): all little-endian, no
padding, x first.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from planish.errors import OptionError, SlideError

VERSION = 2
DTYPES = ("u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f4", "f8")
"""In the order of their numbers in the file."""
CODECS = ("none", "bzip2", "zlib")
"""In the order of their numbers in the file."""
METADATA_BYTES = 256
_FIXED = struct.Struct(f"<B5I5fBB{METADATA_BYTES}s5I")
FIXED_BYTES = _FIXED.size
MOST_BLOCK_BYTES = 2**31 - 1
"""The reference implementation counts a block's bytes in a signed 32-bit number."""
_BLOCK_BYTES = (192, 192, 16, 1, 1)
"""The reference implementation's default block, in bytes along each axis."""


@dataclass(frozen=True, slots=True)
class KlbHeader:
    """The fixed part of the header; the ends of the blocks follow it.

    Attributes
    ----------
    size, block : tuple of int
        (t, c, z, y, x) px.
    pixel_um : tuple of float
        (t, c, z, y, x); 1 along all axes is the format's default and says nothing.
    dtype : numpy.dtype
        Of the pixels, little-endian.
    codec : str
        One of `CODECS`.
    metadata : bytes
        Free text, up to the first NUL; at most `METADATA_BYTES`.
    """

    size: tuple[int, ...]
    block: tuple[int, ...]
    pixel_um: tuple[float, ...]
    dtype: np.dtype[Any]
    codec: str
    metadata: bytes = b""

    @classmethod
    def parse(cls, start: bytes, path: Path) -> KlbHeader:
        """Read the header from the first bytes of a file; raise SlideError where they are none."""
        if len(start) < _FIXED.size:
            raise SlideError(f"{path}: {len(start)} bytes, less than a KLB header; copy the file again")
        fields = _FIXED.unpack_from(start)
        version, size, pixel_um = fields[0], fields[1:6], fields[6:11]
        dtype, codec, metadata, block = fields[11], fields[12], fields[13], fields[14:]
        if version != VERSION:
            raise SlideError(f"{path}: not a KLB file of version {VERSION} (first byte {version}); check what it is")
        if dtype >= len(DTYPES):
            raise SlideError(f"{path}: KLB pixel type {dtype}; known are 0 to {len(DTYPES) - 1}: the header is damaged")
        if codec >= len(CODECS):
            raise SlideError(f"{path}: KLB codec {codec}; known are {', '.join(CODECS)}: write the file with one")
        if 0 in size or 0 in block:
            raise SlideError(f"{path}: KLB volume of {size} px in blocks of {block}; the header is damaged")
        found = cls(
            size[::-1],
            block[::-1],
            pixel_um[::-1],
            np.dtype(f"<{DTYPES[dtype]}"),
            CODECS[codec],
            metadata.split(b"\0", 1)[0],
        )
        if found.block_bytes > MOST_BLOCK_BYTES:
            raise SlideError(f"{path}: KLB blocks of {found.block_bytes} bytes; the header is damaged")
        return found

    def pack(self) -> bytes:
        """Return the fixed part as it stands in a file."""
        return _FIXED.pack(
            VERSION,
            *self.size[::-1],
            *self.pixel_um[::-1],
            DTYPES.index(self.dtype.str[1:]),
            CODECS.index(self.codec),
            self.metadata,
            *self.block[::-1],
        )

    @property
    def grid(self) -> tuple[int, ...]:
        """How many blocks there are along (t, c, z, y, x)."""
        return tuple(-(-size // block) for size, block in zip(self.size, self.block, strict=True))

    @property
    def blocks(self) -> int:
        """How many blocks there are."""
        return math.prod(self.grid)

    @property
    def data_start(self) -> int:
        """Where in the file the first block starts; the ends of the blocks are counted from here."""
        return _FIXED.size + 8 * self.blocks

    @property
    def block_bytes(self) -> int:
        """Bytes of the largest block as it is decoded."""
        return math.prod(map(min, self.block, self.size)) * self.dtype.itemsize

    @property
    def layer_bytes(self) -> int:
        """Bytes of a layer of blocks, one block deep and all of x and y, as it is decoded."""
        return math.prod((*map(min, self.block[:3], self.size[:3]), *self.size[3:])) * self.dtype.itemsize


def default_block(dtype: np.dtype[Any]) -> tuple[int, int, int]:
    """Return the reference implementation's default block (z, y, x) px: (8, 96, 96) for 16 bit."""
    x, y, z = (max(1, size // dtype.itemsize) for size in _BLOCK_BYTES[:3])
    return z, y, x


def check_dtype(dtype: np.dtype[Any], path: Path) -> np.dtype[Any]:
    """Return a type of pixels as KLB holds it; raise OptionError where it holds none such."""
    if dtype.str[1:] not in DTYPES:
        known = ", ".join(np.dtype(name).name for name in DTYPES)
        raise OptionError(f"{path}: KLB holds no {dtype}; convert the volume to one of {known}")
    return dtype.newbyteorder("<")
