"""`Planewise`: a volume that is worked out, slab by slab, when it is asked for."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from planish.lightsheet.boxes import Index, boxed
from planish.threads import Progress, cores, in_threads

SLAB = 8
"""Planes that a thread works on at a time; as deep as a block of KLB."""


class Planewise(ABC):
    """A lazy volume (Z, Y, X); takes whole numbers, slices and ``...``, and can be sliced in several threads.

    Whatever is asked for, whole planes are worked out, no more of them than asked for.
    """

    ndim = 3

    def __init__(self, shape: tuple[int, int, int], dtype: np.dtype[Any]) -> None:
        self.shape, self.dtype = shape, dtype

    def __len__(self) -> int:
        return self.shape[0]

    @abstractmethod
    def slab(self, start: int, stop: int) -> NDArray[Any]:
        """Return the planes from start to stop, which are inside: (planes, Y, X)."""

    def __getitem__(self, key: Index) -> Any:
        asked = boxed(key, self.shape)
        z, y, x = asked.box
        parts = [self.slab(at, min(at + SLAB, z.stop))[:, y, x] for at in range(z.start, z.stop, SLAB)]
        if not parts:
            return np.empty((0, y.stop - y.start, x.stop - x.start), self.dtype)[asked.rest]
        return (parts[0] if len(parts) == 1 else np.concatenate(parts))[asked.rest]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        if copy is False:
            raise ValueError("a volume that is worked out becomes an array only by copying")
        return self.read().astype(dtype or self.dtype, copy=False)

    def read(self, jobs: int = 0, progress: Progress | None = None) -> NDArray[Any]:
        """Work out the whole volume.

        Parameters
        ----------
        jobs : int
            Threads, 0 for as many as there are cores; each holds `SLAB` planes of what it reads and of the result.
        progress : callable
            Called with (stage, done, total) in planes; an exception that it raises cancels.
        """
        volume = np.empty(self.shape, self.dtype)

        def work(start: int) -> int:
            stop = min(start + SLAB, len(self))
            volume[start:stop] = self.slab(start, stop)
            return stop - start

        done = 0
        with in_threads(work, ((start,) for start in range(0, len(self), SLAB)), jobs or cores()) as results:
            for planes in results:
                done += planes
                if progress:
                    progress("blend", done, len(self))
        return volume
