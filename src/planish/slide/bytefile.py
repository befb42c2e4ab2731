"""`ByteFile`: a file read at offsets from several threads. `ChunkCache`: what was decoded of it lately."""

from __future__ import annotations

import os
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from planish.errors import SlideError, TileError

TIFF_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
"""How classic TIFF and BigTIFF start."""
CACHE_BYTES = 96 << 20
"""Bound of the decoded strips that one slide keeps, so that a row of virtual tiles decodes each strip once."""


LARGE_SHARE = 8
"""Strips beyond this part of the bound are kept in temporary files instead."""


class ByteFile:
    """A file read at offsets from several threads."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("rb")
        self._lock = threading.Lock()
        self.size = path.stat().st_size

    def read(self, offset: int, count: int) -> bytes:
        """Read exactly `count` bytes at `offset`.

        Raises
        ------
        TileError
            Where the file has no such bytes.
        SlideError
            After closing.
        """
        if offset < 0 or count < 0 or offset + count > self.size:
            raise TileError(
                f"{self.path}: a tile's {count} bytes at {offset} reach past the end of the file "
                f"({self.size} bytes); the file is truncated or damaged: export it again"
            )
        try:
            data = self._read(offset, count)
        except OSError as error:
            raise TileError(f"{self.path}: cannot be read at {offset} ({error.strerror}); check the disk") from error
        except ValueError as error:
            raise SlideError(f"{self.path}: read after closing; open it again") from error
        if len(data) < count:
            raise TileError(f"{self.path}: became shorter while it was read; copy or export it again")
        return data

    def _read(self, offset: int, count: int) -> bytes:
        if hasattr(os, "pread"):
            return os.pread(self._file.fileno(), count, offset)
        with self._lock:
            self._file.seek(offset)
            return self._file.read(count)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class ChunkCache:
    """Decoded strips: small ones in memory, least recently used out first; large ones in temporary files.

    A strip may be a whole plane. Were it dropped and decoded again for each tile that another plane is looked at for,
    flattening would take an hour instead of a minute; so it is decoded once, and mapped.

    Parameters
    ----------
    limit : int
        Bytes in memory.
    disk_limit : int or None
        Bytes in temporary files, beyond which the least recently used go; None keeps all.
    """

    def __init__(self, limit: int = CACHE_BYTES, disk_limit: int | None = None) -> None:
        self._limit, self._disk_limit = limit, disk_limit
        self._held = self._on_disk = 0
        self._entries: OrderedDict[tuple[int, int], NDArray[Any]] = OrderedDict()
        self._mapped: OrderedDict[tuple[int, int], NDArray[Any]] = OrderedDict()
        self._lock, self._large_lock = threading.Lock(), threading.Lock()

    def get(self, key: tuple[int, int], size: int, decode: Callable[[], NDArray[Any]]) -> NDArray[Any]:
        """Return a chunk of `size` bytes, decoded unless it is kept."""
        if size > self._limit // LARGE_SHARE:
            with self._large_lock:  # one at a time: a second thread would only decode the same again
                if key not in self._mapped:
                    self._mapped[key] = _mapped(decode())
                    self._on_disk += size
                    while self._disk_limit and self._on_disk > self._disk_limit and len(self._mapped) > 1:
                        self._on_disk -= self._mapped.popitem(last=False)[1].nbytes
                self._mapped.move_to_end(key)
                return self._mapped[key]
        with self._lock:
            if key in self._entries:
                self._entries.move_to_end(key)
                return self._entries[key]
        chunk = decode()
        with self._lock:
            if key not in self._entries:
                self._entries[key] = chunk
                self._held += chunk.nbytes
            while self._held > self._limit and len(self._entries) > 1:
                self._held -= self._entries.popitem(last=False)[1].nbytes
        return chunk


def _mapped(chunk: NDArray[Any]) -> NDArray[Any]:
    """Return the chunk in a temporary file, which goes with the last use of it."""
    with tempfile.TemporaryFile(prefix="planish-") as file:
        mapped = np.memmap(file, chunk.dtype, "w+", shape=chunk.shape)
    mapped[:] = chunk
    return mapped
