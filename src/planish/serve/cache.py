"""Answers that are kept in memory, the least used leaving first, in no more than so many bytes."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from cachetools import LRUCache

OVERHEAD = 1024
"""Bytes that an answer takes beside its body: headers, key, the cache's own books."""

Headers = tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True, slots=True)
class Kept:
    """A picture as it goes out.

    Attributes
    ----------
    body : bytes
        The picture.
    headers : tuple
        Those that are the same for whoever asks.
    """

    body: bytes
    headers: Headers


class TileCache:
    """A byte-bounded LRU, used from several threads.

    Parameters
    ----------
    size : int
        Bytes at most; what is larger is not kept.
    """

    def __init__(self, size: int) -> None:
        self._kept: LRUCache[tuple[str, str], Kept] = LRUCache(size, getsizeof=lambda kept: len(kept.body) + OVERHEAD)
        self._lock = threading.Lock()
        self.hits = self.misses = 0

    def get(self, key: tuple[str, str]) -> Kept | None:
        """Return what is kept of a request (what is asked for, version), if anything."""
        with self._lock:
            found = self._kept.get(key)
            self.hits += found is not None
            return found

    def put(self, key: tuple[str, str], kept: Kept) -> None:
        """Keep an answer that had to be made, if it is not too large."""
        with self._lock:
            self.misses += 1
            if len(kept.body) + OVERHEAD <= self._kept.maxsize:
                self._kept[key] = kept

    @property
    def bytes(self) -> int:
        """How much is kept."""
        return int(self._kept.currsize)
