"""`Volume`: pixels (Z, Y, X) in a file, read when they are asked for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from planish.errors import PlanishError, SlideError
from planish.lightsheet.boxes import Boxed, Index, boxed

Voxel = tuple[float, float, float]
"""Steps in z, y and x, in µm."""


class Volume:
    """Pixels (Z, Y, X) that are read when they are asked for, with whole numbers, slices and ``...``.

    Parameters
    ----------
    source : Path
        The file, for messages.
    pixels : array-like
        Has `shape` and `dtype`, and takes a tuple of three slices with steps of 1.
    voxel_um : tuple of float, optional
        Steps in z, y and x.
    close : callable, optional
        Gives back what reading holds.
    """

    ndim = 3

    def __init__(
        self, source: Path, pixels: Any, voxel_um: Voxel | None = None, close: Callable[[], None] | None = None
    ) -> None:
        self.source, self.voxel_um = source, voxel_um
        self._pixels, self._close = pixels, close
        depth, height, width = (int(size) for size in pixels.shape)
        self.shape: tuple[int, int, int] = (depth, height, width)
        self.dtype: np.dtype[Any] = np.dtype(pixels.dtype).newbyteorder("=")

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Index) -> Any:
        asked = boxed(key, self.shape)
        if self._pixels is None:
            raise PlanishError(f"{self.source}: was closed; open it again")
        try:
            return self._read(asked)
        except PlanishError:
            raise
        except Exception as error:  # decoding is foreign code, which damaged files throw off in any way
            z = asked.box[0]
            raise SlideError(
                f"{self.source}: planes {z.start} to {z.stop - 1} cannot be read ({error}); copy the file again, or "
                "make it anew"
            ) from error

    def _read(self, asked: Boxed) -> Any:
        z, *inner = asked.box
        rest = asked.rest
        if isinstance(rest[0], slice) and abs(rest[0].step or 1) > 1:
            # Every hundredth plane of a volume that does not fit into memory may well be wanted.
            planes = [self._pixels[slice(place, place + 1), *inner] for place in range(z.start, z.stop)[rest[0]]]
            pixels, rest = np.concatenate(planes), (slice(None), *rest[1:])
        else:
            pixels = np.asarray(self._pixels[asked.box])
        return pixels.astype(self.dtype, copy=False)[rest]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.array(self[...], dtype, copy=copy)

    def close(self) -> None:
        """Give back what reading holds; nothing can be read any more."""
        if self._close and self._pixels is not None:
            self._close()
        self._pixels = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
