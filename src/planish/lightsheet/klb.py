"""KLB, the Keller lab's block format: read at once or lazily, and written."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import numpy as np
from numpy.typing import NDArray

from planish.errors import OptionError
from planish.files import replacing
from planish.lightsheet.boxes import Index
from planish.lightsheet.klbblocks import encode_row, row_box
from planish.lightsheet.klbfile import KlbFile
from planish.lightsheet.klbheader import CODECS, METADATA_BYTES, MOST_BLOCK_BYTES, KlbHeader, check_dtype, default_block
from planish.threads import Progress, in_threads

__all__ = ["KlbFile", "KlbOptions", "read", "write"]

_MOST_SIZE = 2**32


class Sliceable(Protocol):
    """What can be written: an array, or anything that slices like one."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(Z, Y, X) or (T, C, Z, Y, X)."""

    @property
    def dtype(self) -> Any:
        """Of the pixels."""

    def __getitem__(self, index: Any) -> Any: ...


@dataclass(frozen=True, slots=True)
class KlbOptions:
    """How a KLB file is written.

    Attributes
    ----------
    codec : str
        ``"bzip2"``, ``"zlib"`` or ``"none"``.
    block : tuple of int or None
        (z, y, x) px; None for the format's default, (8, 96, 96) for 16 bit.
    pixel_um : tuple of float or None
        µm per voxel (z, y, x); unknown (stored as 1) where it is None.
    metadata : str
        Free text, at most 256 bytes of UTF-8.
    jobs : int
        Threads.
    overwrite : bool
        Replace a file that is there.
    """

    codec: str = "bzip2"
    block: tuple[int, int, int] | None = None
    pixel_um: tuple[float, float, float] | None = None
    metadata: str = ""
    jobs: int = 2
    overwrite: bool = False

    def __post_init__(self) -> None:
        if self.codec not in CODECS:
            raise OptionError(f"KLB has no codec {self.codec!r}; use {', '.join(CODECS)}")
        if self.block is not None and not (len(self.block) == 3 and all(0 < size < 2**31 for size in self.block)):
            raise OptionError(f"KLB blocks are (z, y, x) px of at least 1, got {self.block}")
        if self.pixel_um is not None and not (
            len(self.pixel_um) == 3 and all(0 < size < math.inf for size in self.pixel_um)
        ):
            raise OptionError(f"pixel_um is (z, y, x) µm above 0, got {self.pixel_um}")
        if len(self.metadata.encode()) > METADATA_BYTES or "\0" in self.metadata:
            raise OptionError(f"KLB metadata takes {METADATA_BYTES} bytes without NUL; shorten it")
        if self.jobs < 1:
            raise OptionError(f"jobs must be at least 1, got {self.jobs}")


def read(path: str | Path, box: Index = ..., jobs: int | None = None) -> NDArray[Any]:
    """Read a KLB file, or a box of it.

    Parameters
    ----------
    path : Path
        The file.
    box : tuple of slices
        As one would index the array; only the blocks that it touches are read. All of it where it is left out.
    jobs : int or None
        Threads; None for one per core.

    Returns
    -------
    ndarray, (Z, Y, X) or (T, C, Z, Y, X)
        Of the file's type; three axes where it has one channel and one time point.

    Raises
    ------
    SlideError
        Where the file is missing, damaged, cut short, or no KLB file.
    """
    with KlbFile(path, jobs) as file:
        return np.asarray(file[box])


def write(
    path: str | Path, volume: Sliceable, options: KlbOptions | None = None, progress: Progress | None = None
) -> Path:
    """Write a KLB file, layer of blocks by layer of blocks.

    Memory is two layers (of 16 planes for 8 bit, 8 for 16 bit, 2 for float64 by default).

    Parameters
    ----------
    path : Path
        The file to be.
    volume : array-like, (Z, Y, X) or (T, C, Z, Y, X)
        Integers or floats; sliced along the axes before Y only.
    options : KlbOptions or None
        How.
    progress : callable or None
        Called with (stage, done, total) in blocks; an exception that it raises cancels.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    OptionError
        Where KLB cannot hold the volume.
    WriteError
        Where the file cannot be written, or is there and may not be replaced.
    """
    path, options = Path(path), options or KlbOptions()
    header = _header(path, volume, options)
    with replacing(path, overwrite=options.overwrite) as temporary, temporary.open("wb") as file:
        # The header goes last: a file that was left half-written has none.
        file.seek(header.data_start)
        with in_threads(encode_row, _rows(volume, header), options.jobs, ordered=True) as rows:
            ends = _write_blocks(file, header, rows, progress)
        file.seek(0)
        file.write(header.pack())
        file.write(ends.astype("<u8").tobytes())
    return path


def _header(path: Path, volume: Sliceable, options: KlbOptions) -> KlbHeader:
    shape = tuple(volume.shape)
    if len(shape) not in (3, 5) or not all(0 < size < _MOST_SIZE for size in shape):
        raise OptionError(f"{path}: KLB holds (Z, Y, X) or (T, C, Z, Y, X), none of them 0; this is {shape}")
    dtype = check_dtype(np.dtype(volume.dtype), path)
    size = (1,) * (5 - len(shape)) + shape
    header = KlbHeader(
        size=size,
        block=tuple(map(min, (1, 1, *(options.block or default_block(dtype))), size)),
        pixel_um=(1.0, 1.0, *(options.pixel_um or (1.0, 1.0, 1.0))),
        dtype=dtype,
        codec=options.codec,
        metadata=options.metadata.encode(),
    )
    if header.block_bytes > MOST_BLOCK_BYTES:
        raise OptionError(f"{path}: KLB blocks of {header.block_bytes} bytes; below 2 GiB readers take them")
    return header


def _rows(volume: Sliceable, header: KlbHeader) -> Iterator[tuple[NDArray[Any], KlbHeader]]:
    """Yield the rows of blocks as they follow each other in the file, reading a layer at a time."""
    times, channels, layers, rows, _ = header.grid
    for t, c, layer in product(range(times), range(channels), range(layers)):
        planes = row_box(header, (t, c, layer, 0))[2]
        pixels = np.asarray(volume[planes] if len(volume.shape) == 3 else volume[t, c, planes], header.dtype)
        for row in range(rows):
            yield pixels[None, None, :, row_box(header, (t, c, layer, row))[3]], header


def _write_blocks(
    file: BinaryIO, header: KlbHeader, rows: Iterator[list[bytes]], progress: Progress | None
) -> NDArray[np.uint64]:
    """Write the blocks, a row at a time; return where each of them ends."""
    sizes: list[int] = []
    for blocks in rows:
        file.writelines(blocks)
        sizes.extend(map(len, blocks))
        if progress:
            progress("writing", len(sizes), header.blocks)
    return np.cumsum(sizes, dtype=np.uint64)
