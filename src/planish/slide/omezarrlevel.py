"""`ZarrLevel`: an array of an OME-Zarr, read as pixels of one plane."""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import zarr
from numpy.typing import NDArray

from planish.model import Box, Missing
from planish.slide.bytefile import ChunkCache
from planish.slide.page import VIRTUAL_TILE

_LEAST_TILE, _MOST_TILE = 128, 1024
"""px: chunks between these are tiles."""
_ORDER = "yxc"
_MOST_COUNTED = 4096
"""Stored files of an array up to which missing ones are counted when it is opened."""
_NUMBERS = itertools.count()
"""Of all levels of this process, to tell their chunks apart in a cache; they outlive a level that nobody holds."""
METADATA = ("zarr.json", ".zarray", ".zattrs")
"""Files of an array that are no chunks."""


class Place(NamedTuple):
    """Where along the axes besides channels and pixels."""

    z: int
    t: int


class ZarrLevel:
    """One level of one image; safe to read from several threads.

    Parameters
    ----------
    array : zarr.Array
        Its pixels.
    axes : sequence of str
        Names of the array's axes, y and x among them; unknown ones are read at their start.
    folder : Path
        Of the array.
    cache : ChunkCache
        Keeps chunks that several tiles or planes lie in.
    """

    def __init__(self, array: zarr.Array[Any], axes: Sequence[str], folder: Path, cache: ChunkCache) -> None:
        self._array, self._axes, self.folder, self._cache = array, tuple(axes), folder, cache
        self._number = next(_NUMBERS)
        self._size = dict(zip(axes, array.shape, strict=True))
        self._chunk = dict(zip(axes, (min(c, s) for c, s in zip(array.chunks, array.shape, strict=True)), strict=True))
        self.dtype = np.dtype(array.dtype).newbyteorder("=")
        stored = dict(zip(axes, array.chunks, strict=True))
        fits = all(_LEAST_TILE <= stored[axis] <= _MOST_TILE for axis in "yx")
        self.tile_width, self.tile_height = (stored["x"], stored["y"]) if fits else (VIRTUAL_TILE, VIRTUAL_TILE)
        self._shared = not fits or any(self._chunk[axis] > 1 for axis in axes if axis not in "cyx")
        self._grid = tuple(-(-s // c) for s, c in zip(array.shape, array.chunks, strict=True))

    def size(self, axis: str) -> int:
        """Return the length of an axis, 1 where there is none such."""
        return self._size.get(axis, 1)

    @property
    def path(self) -> str:
        """The array's name, for messages."""
        return self.folder.name

    def missing_note(self) -> str | None:
        """Return a note on chunks that are not stored, None where all of them are.

        Shards count as chunks here: what is missing in one that is there is not looked for.
        """
        array = self._array
        sides = array.shards or array.chunks
        count = math.prod(-(-length // side) for length, side in zip(array.shape, sides, strict=True))
        if count > _MOST_COUNTED:
            return f"its {count} chunks at full size were not counted; any that is not stored is shown as {self._fill}"
        stored = sum(_is_chunk(name) for _, _, names in os.walk(self.folder) for name in names)
        if stored >= count:
            return None
        return Missing(f"{count - stored} of {count} chunks at full size are not stored, and shown as {self._fill}")

    @property
    def _fill(self) -> str:
        return str(self._array.fill_value if self._array.fill_value is not None else 0)

    def read(self, place: Place, channels: Sequence[int], box: Box) -> NDArray[Any]:
        """Return some channels of a part of a plane, (height, width, channels) in native byte order."""
        runs = self._runs(channels)
        parts = [self._run(place, first, stop, box) for first, stop in runs]
        held = [channel for first, stop in runs for channel in range(first, stop)]
        pixels = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=2)
        return pixels if held == list(channels) else pixels[..., [held.index(channel) for channel in channels]]

    def _runs(self, channels: Sequence[int]) -> list[tuple[int, int]]:
        """Return ranges that hold the channels and touch no chunk that holds none of them, each chunk at most once."""
        chunk, runs = self._chunk.get("c", 1), list[tuple[int, int]]()
        for channel in sorted(set(channels)):
            if runs and channel // chunk <= (runs[-1][1] - 1) // chunk + 1:
                runs[-1] = (runs[-1][0], channel + 1)
            else:
                runs.append((channel, channel + 1))
        return runs

    def _run(self, place: Place, first: int, stop: int, box: Box) -> NDArray[Any]:
        wanted = {
            "y": slice(box.y, box.y + box.height),
            "x": slice(box.x, box.x + box.width),
            "c": slice(first, stop),
            "z": slice(place.z, place.z + 1),
            "t": slice(place.t, place.t + 1),
        }
        ranges = [wanted.get(axis, slice(0, 1)) for axis in self._axes]
        return self._ordered(self._cached(ranges) if self._shared else self._direct(ranges))

    def _direct(self, ranges: Sequence[slice]) -> NDArray[Any]:
        return np.asarray(self._array[tuple(ranges)])

    def _cached(self, ranges: Sequence[slice]) -> NDArray[Any]:
        """Put a part together out of whole chunks."""
        part = np.empty([r.stop - r.start for r in ranges], self._array.dtype)
        sides = self._array.chunks
        touched = (range(r.start // side, -(-r.stop // side)) for r, side in zip(ranges, sides, strict=True))
        for chunk in itertools.product(*touched):
            starts = [index * side for index, side in zip(chunk, sides, strict=True)]
            pixels = self._chunk_at(chunk, starts)
            source, target = [], []
            for r, start, length in zip(ranges, starts, pixels.shape, strict=True):
                low, high = max(r.start, start), min(r.stop, start + length)
                source.append(slice(low - start, high - start))
                target.append(slice(low - r.start, high - r.start))
            part[tuple(target)] = pixels[tuple(source)]
        return part

    def _chunk_at(self, chunk: tuple[int, ...], starts: Sequence[int]) -> NDArray[Any]:
        stops = [min(s + side, end) for s, side, end in zip(starts, self._array.chunks, self._array.shape, strict=True)]
        ranges = [slice(start, stop) for start, stop in zip(starts, stops, strict=True)]
        flat = int(np.ravel_multi_index(chunk, self._grid))
        count = int(np.prod([stop - start for start, stop in zip(starts, stops, strict=True)]))
        return self._cache.get((self._number, flat), count * self.dtype.itemsize, lambda: self._direct(ranges))

    def _ordered(self, part: NDArray[Any]) -> NDArray[Any]:
        """Return (height, width, channels) of a part along all axes."""
        kept = [axis for axis in self._axes if axis in _ORDER]
        part = part.reshape([length for length, axis in zip(part.shape, self._axes, strict=True) if axis in _ORDER])
        if "c" not in kept:
            kept, part = [*kept, "c"], part[..., None]
        return np.ascontiguousarray(part.transpose([kept.index(axis) for axis in _ORDER]), self.dtype)


def _is_chunk(name: str) -> bool:
    """Whether a file is one, by the ways in which Zarr numbers them; systems leave others there, such as .DS_Store."""
    return name.removeprefix("c.").replace(".", "").isdecimal()
