"""The arrays of one image in a Zarr: full size, and smaller levels made from what was written."""

from __future__ import annotations

from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from planish.lightsheet.stored import SLAB, Stored
from planish.lightsheet.volumeoptions import VolumeOptions
from planish.lightsheet.zarrcodecs import codec
from planish.lightsheet.zarrmetadata import AXES
from planish.threads import Progress, in_threads
from planish.write.pyramid import halve

_SMALLEST = 256
"""px; a level of which no side is longer has none below it."""


class Levels:
    """Arrays 0, 1, … in a group, each half as high and wide as the one before.

    Files are slabs of planes, four times as deep with each level, so that they are about the same size. Per thread, one
    of them is held, and what is read for it.
    """

    def __init__(self, group: zarr.Group, volume: Any, options: VolumeOptions, *, label: bool) -> None:
        self._stored, self._options, self._label = Stored(volume), options, label
        self._arrays: list[zarr.Array[Any]] = []
        self._depths: list[int] = []
        shape = self._stored.shape
        self._add(group, shape)
        while options.pyramid and max(shape[1:]) > _SMALLEST:
            shape = (shape[0], -(-shape[1] // 2), -(-shape[2] // 2))
            self._add(group, shape)

    @property
    def count(self) -> int:
        """How many levels there are."""
        return len(self._arrays)

    def _add(self, group: zarr.Group, shape: tuple[int, int, int]) -> None:
        chunk = (1, *shape[1:]) if self._options.chunk == "plane" else self._options.chunk
        chunks = tuple(min(pair) for pair in zip(chunk, shape, strict=True))
        least = min(SLAB * 4 ** len(self._arrays), shape[0])
        deep = chunks[0] * -(-least // chunks[0])
        wide = (step * -(-size // step) for step, size in zip(chunks[1:], shape[1:], strict=True))
        self._depths.append(deep)
        self._arrays.append(
            group.create_array(
                str(len(self._arrays)),
                shape=shape,
                dtype=self._stored.dtype,
                chunks=chunks,
                shards=(deep, *wide) if self._options.sharded else None,
                compressors=codec(self._options.compressor, self._options.level),
                fill_value=0,
                dimension_names=AXES,
            )
        )

    def fill(self, progress: Progress | None) -> None:
        """Write all levels one after the other, slabs side by side."""
        done, total = 0, self.count * self._stored.shape[0]
        for level, depth in enumerate(self._depths):
            starts = ((level, z) for z in range(0, self._stored.shape[0], depth))
            with in_threads(self._write, starts, self._options.jobs) as written:
                for planes in written:
                    done += planes
                    if progress:
                        progress("writing", done, total)

    def _write(self, level: int, start: int) -> int:
        """Write one slab; return its planes."""
        stop = min(start + self._depths[level], self._stored.shape[0])
        self._arrays[level][start:stop] = self._halved(level, start, stop) if level else self._stored[start:stop]
        return stop - start

    def _halved(self, level: int, start: int, stop: int) -> NDArray[Any]:
        slab = np.empty((stop - start, *self._arrays[level].shape[1:]), self._stored.dtype)
        for z in range(start, stop, SLAB):
            below = np.asarray(self._arrays[level - 1][z : min(z + SLAB, stop)])
            for place, plane in enumerate(below, z - start):
                slab[place] = plane[::2, ::2] if self._label else halve(plane[..., None])[..., 0]
        return slab
