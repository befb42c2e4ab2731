"""`ViewArray`: volumes of several time points and views as one lazy array."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from planish.errors import SlideError
from planish.lightsheet.boxes import Index, boxed
from planish.lightsheet.gaps import Extent
from planish.lightsheet.volume import Volume


@dataclass(frozen=True)
class Grid:
    """What goes where in the array.

    Attributes
    ----------
    times : tuple of int
        Time points, along the first axis.
    views : tuple of (camera, channel)
        Along the third.
    extents : Mapping
        Size and type of each look that is there.
    """

    times: tuple[int, ...]
    views: tuple[tuple[int, int], ...]
    extents: Mapping[Any, Extent]


class ViewArray:
    """A lazy array (T, Z, Views, Y, X), or (Z, Views, Y, X) of one time point.

    It is as deep as the deepest volume; what is not there is 0. It may be used from several threads, and holds no file
    open.

    Parameters
    ----------
    folder : Path
        For messages.
    grid : Grid
        What goes where.
    open_look : callable
        (look) -> its volume.

    Raises
    ------
    SlideError
        Where views have different widths and heights.
    """

    def __init__(self, folder: Path, grid: Grid, open_look: Callable[[Any], Volume]) -> None:
        self._open, self._grid, extents = open_look, grid, grid.extents
        self._looks = {(look.time, look.view): look for look in extents}
        _check_sizes(folder, extents)
        height, width = next(iter(extents.values())).shape[1:]
        planes = max(extent.shape[0] for extent in extents.values())
        whole = (len(grid.times), planes, len(grid.views), height, width)
        self.shape: tuple[int, ...] = whole if len(grid.times) > 1 else whole[1:]
        self.dtype: np.dtype[Any] = np.result_type(*{extent.dtype.newbyteorder("=") for extent in extents.values()})

    @property
    def ndim(self) -> int:
        """5 or 4."""
        return len(self.shape)

    def __getitem__(self, key: Index) -> Any:
        asked = boxed(key, self.shape)
        dropped = 5 - self.ndim
        box, rest = (slice(0, 1),) * dropped + asked.box, (0,) * dropped + asked.rest
        # Steps are taken while reading, for whoever asks for every hundredth time point or plane.
        taken = [range(part.start, part.stop) for part in box]
        taken = [each[step] if isinstance(step, slice) else each for each, step in zip(taken, rest, strict=True)]
        return self._read(taken)[tuple(0 if isinstance(part, int) else slice(None) for part in rest)]

    def _read(self, taken: list[range]) -> NDArray[Any]:
        times, planes, views, *inner = taken
        pixels = np.zeros([len(each) for each in taken], self.dtype)
        if not pixels.size:
            return pixels
        y, x = (_as_slice(each) for each in inner)
        for t, time in enumerate(times):
            for v, view in enumerate(views):
                look = self._looks.get((self._grid.times[time], self._grid.views[view]))
                if look is not None:
                    there = [z for z in planes if z < self._grid.extents[look].shape[0]]
                    self._fill(pixels[t, :, v], look, planes, there, (y, x))
        return pixels

    def _fill(
        self, pixels: NDArray[Any], look: Any, planes: range, there: list[int], inner: tuple[slice, slice]
    ) -> None:
        if not there:
            return
        first = planes.index(there[0])
        part = planes[first : first + len(there)]
        with self._open(look) as volume:
            pixels[first : first + len(there)] = volume[(_as_slice(part), *inner)]


def _as_slice(taken: range) -> slice:
    """Return the slice that a range that is not empty stands for; one that ends before 0 has no stop."""
    return slice(taken.start, taken.stop if taken.stop >= 0 else None, taken.step)


def _check_sizes(folder: Path, extents: Mapping[Any, Extent]) -> None:
    sizes: dict[tuple[int, int], Any] = {}
    for look, extent in extents.items():
        sizes.setdefault((extent.shape[2], extent.shape[1]), look)
    if len(sizes) > 1:
        told = ", ".join(f"{look.stem} {width} × {height}" for (width, height), look in sizes.items())
        raise SlideError(
            f"{folder}: views have different sizes in px ({told}), and cannot be one array; open them one by one with "
            ".volume(look), or crop them to one size"
        )
