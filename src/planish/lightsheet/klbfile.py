"""`KlbFile`: a KLB file as a lazy array."""

from __future__ import annotations

import math
import os
import threading
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import DTypeLike, NDArray

from planish.errors import SlideError, SlideNotFound
from planish.fuse.blocks import BlockCache
from planish.lightsheet.boxes import Index, boxed
from planish.lightsheet.klbblocks import BlockError, decode_row, first_block, row_box, rows_in
from planish.lightsheet.klbheader import FIXED_BYTES, KlbHeader
from planish.threads import cores, in_threads

MOST_CACHED = 2**30
"""Bytes of decoded blocks that are held at most."""
_UNKNOWN = (1.0, 1.0, 1.0)


class KlbFile:
    """A KLB file as a lazy array: only the blocks that an index touches are read and decompressed.

    One channel and one time point is (Z, Y, X), else it is (T, C, Z, Y, X). Indexing takes integers, slices and an
    ellipsis. It may be used from several threads. Beside the result, memory is one row of blocks per thread, and for
    whoever reads plane by plane the layer of blocks last read, up to `MOST_CACHED`.

    Parameters
    ----------
    path : Path
        The file.
    jobs : int
        Threads that decompress.

    Raises
    ------
    SlideError
        Where the file is missing, damaged, cut short, or no KLB file; a damaged block is only found when it is read.
    """

    def __init__(self, path: str | Path, jobs: int | None = None) -> None:
        self.path = Path(path)
        self._jobs = jobs or cores()
        self._file = _open(self.path)
        try:
            self.header, self._ends = _read_head(self._file, self.path)
        except BaseException:
            self._file.close()
            raise
        self._reading = threading.Lock()
        self._cache = BlockCache(min(MOST_CACHED, self.header.layer_bytes))

    @property
    def shape(self) -> tuple[int, ...]:
        """(Z, Y, X), or (T, C, Z, Y, X)."""
        size = self.header.size
        return size[2:] if size[:2] == (1, 1) else size

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the pixels."""
        return self.header.dtype.newbyteorder("=")

    @property
    def ndim(self) -> int:
        """3 or 5."""
        return len(self.shape)

    @property
    def voxel_um(self) -> tuple[float, float, float] | None:
        """µm per voxel (z, y, x); None where the file has the format's default, 1 along all axes, or nonsense."""
        z, y, x = self.header.pixel_um[2:]
        known = all(0 < size < math.inf for size in (z, y, x)) and (z, y, x) != _UNKNOWN
        return (z, y, x) if known else None

    @property
    def metadata(self) -> str:
        """Free text."""
        return self.header.metadata.decode("utf-8", "replace")

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Index) -> Any:
        extra = 5 - self.ndim
        asked = boxed(index, self.shape)
        pixels = self._box((*(slice(0, 1),) * extra, *asked.box))
        return pixels[(0,) * extra + asked.rest]

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        if copy is False:
            raise ValueError(f"{self.path}: a file's pixels become an array only by copying")
        return np.asarray(self[...], dtype)

    def _box(self, box: tuple[slice, ...]) -> NDArray[Any]:
        pixels = _empty(tuple(part.stop - part.start for part in box), self.dtype, self.path)
        if pixels.size:
            rows = ((row, box, pixels) for row in rows_in(self.header, box))
            # In order: a pool of its own takes a tenth of what joblib does to start, which counts plane by plane.
            with in_threads(self._take_row, rows, self._jobs, ordered=True) as done:
                for _ in done:
                    pass
        return pixels

    def _take_row(self, row: tuple[int, ...], box: tuple[slice, ...], pixels: NDArray[Any]) -> None:
        """Put what a box has of a row of blocks into its place."""
        step = self.header.block[4]
        columns = range(box[4].start // step, -(-box[4].stop // step))
        whole = row_box(self.header, row)
        key = (row, columns.start, columns.stop)
        if all(part.start <= full.start and full.stop <= part.stop for part, full in zip(box[:4], whole, strict=False)):
            blocks = self._decoded(*key)
        else:
            blocks = self._cache.get(key, lambda: self._decoded(*key))
        full = (*whole[:4], slice(columns.start * step, columns.start * step + blocks.shape[4]))
        common = [(max(a.start, b.start), min(a.stop, b.stop)) for a, b in zip(box, full, strict=True)]
        into, source = (
            tuple(
                slice(start - part.start, stop - part.start) for (start, stop), part in zip(common, parts, strict=True)
            )
            for parts in (box, full)
        )
        pixels[into] = blocks[source]

    def _decoded(self, row: tuple[int, ...], start: int, stop: int) -> NDArray[Any]:
        number = first_block(self.header, row)
        ends = self._ends[number + start : number + stop]
        begin = self._ends[number + start - 1] if number + start else np.uint64(0)
        try:
            with self._reading:
                self._file.seek(self.header.data_start + int(begin))
                stored = self._file.read(int(ends[-1] - begin))
            return decode_row(memoryview(stored), ends - begin, self.header, row, range(start, stop))
        except OSError as error:
            raise SlideError(f"{self.path}: reading failed ({error.strerror}); check the disk") from error
        except MemoryError as error:
            raise SlideError(f"{self.path}: its KLB blocks go beyond the memory; the header may be damaged") from error
        except BlockError as error:
            raise SlideError(f"{self.path}: KLB {error}; copy the file again or leave these planes out") from error

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> KlbFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _open(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except FileNotFoundError as error:
        raise SlideNotFound(f"{path}: no such file; check the name") from error
    except OSError as error:
        raise SlideError(f"{path}: cannot be read ({error.strerror}); check what it is") from error


def _read_head(file: BinaryIO, path: Path) -> tuple[KlbHeader, NDArray[np.uint64]]:
    """Return the header and where each block ends, checked against the file's size."""
    header = KlbHeader.parse(file.read(FIXED_BYTES), path)
    there = os.fstat(file.fileno()).st_size
    if header.data_start > there:
        raise SlideError(
            f"{path}: the list of {header.blocks} KLB blocks takes {header.data_start} bytes, the file has {there}: "
            "cut short or damaged; copy it again"
        )
    ends = np.frombuffer(file.read(8 * header.blocks), "<u8").astype(np.uint64)
    if not ends[0] or (ends[1:] <= ends[:-1]).any():
        raise SlideError(
            f"{path}: KLB blocks of no length or out of order; writing it was not finished, or it is damaged"
        )
    wanted = header.data_start + int(ends[-1])
    if wanted > there:
        raise SlideError(f"{path}: cut short: {there} of {wanted} bytes; copy the file again")
    return header, ends


def _empty(shape: tuple[int, ...], dtype: np.dtype[Any], path: Path) -> NDArray[Any]:
    try:
        return np.empty(shape, dtype)
    except (MemoryError, ValueError) as error:
        size = math.prod(shape) * dtype.itemsize / 2**30
        raise SlideError(f"{path}: {size:.1f} GiB do not fit into memory; read a box") from error
