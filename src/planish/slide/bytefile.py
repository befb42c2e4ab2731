"""`ByteFile`: a file read at offsets from several threads. `ChunkCache`: what was decoded of it lately."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from planish.errors import SlideError, TileError

TIFF_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
"""How classic TIFF and BigTIFF start."""
CACHE_BYTES = 96 << 20
"""Bound of the decoded strips that one slide keeps, so that a row of virtual tiles decodes each strip once."""


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
    """Decoded strips, least recently used out first, bounded in bytes (one entry always stays)."""

    def __init__(self, limit: int = CACHE_BYTES) -> None:
        self._limit = limit
        self._held = 0
        self._entries: OrderedDict[tuple[int, int], NDArray[Any]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: tuple[int, int]) -> NDArray[Any] | None:
        """Return the chunk and mark it as used."""
        with self._lock:
            if key in self._entries:
                self._entries.move_to_end(key)
            return self._entries.get(key)

    def put(self, key: tuple[int, int], chunk: NDArray[Any]) -> None:
        """Keep a chunk."""
        with self._lock:
            if key in self._entries:
                return
            self._entries[key] = chunk
            self._held += chunk.nbytes
            while self._held > self._limit and len(self._entries) > 1:
                self._held -= self._entries.popitem(last=False)[1].nbytes
