"""Room on the disk of the outputs."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from planish.batch.entry import Entry

_LEAST = 16 << 20


@dataclass(frozen=True, slots=True)
class Space:
    """A disk, of which `reserve` bytes stay free."""

    folder: Path
    reserve: int

    def free(self) -> int:
        """Return the bytes that may be taken; below 0 where the reserve is touched."""
        try:
            return shutil.disk_usage(self.folder).free - self.reserve
        except OSError:
            return -self.reserve  # a share that is gone: nothing fits now

    def fits(self, entry: Entry, running: Mapping[int, int]) -> bool:
        """Whether there is room for a slide beside the needs of those being worked on."""
        return self.free() - sum(running.values()) >= need(entry)


def need(entry: Entry) -> int:
    """Return the bytes that a slide's outputs may take.

    Of a z-stack, one plane is written, with more levels; of a slide with one plane nearly all. Who knows the number of
    planes has opened it, so half of its size is asked for, and where that was not enough all of it and more.
    """
    return _LEAST + (entry.size * 3 // 2 if entry.reason == "no space" else entry.size // 2)
