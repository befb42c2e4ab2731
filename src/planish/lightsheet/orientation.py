"""`Orientation`: crop, rotate by 90°, flip; what brings one camera's volume into the frame of the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from planish.errors import OptionError


@dataclass(frozen=True, slots=True)
class Orientation:
    """Crop, then rotate, then flip.

    Attributes
    ----------
    crop : tuple of int or None
        (z0, z1, y0, y1, x0, x1) of what is kept, before anything is turned; the ends are not included. None for all.
    rotation : int
        Quarter turns as one sees a plane, y down: 1 clockwise, −1 counter-clockwise, 0 none.
    flip_x, flip_y : bool
        Mirror left and right, top and bottom, after the rotation; the second camera of a pair looks from behind, and
        is flipped in x.
    """

    crop: tuple[int, int, int, int, int, int] | None = None
    rotation: int = 0
    flip_x: bool = False
    flip_y: bool = False

    def __post_init__(self) -> None:
        if self.rotation not in (-1, 0, 1):
            raise OptionError(f"rotation is −1, 0 or 1 quarter turns clockwise, got {self.rotation}")
        if self.crop is not None:
            if len(self.crop) != 6:
                raise OptionError(f"crop is z0, z1, y0, y1, x0, x1, got {self.crop}")
            if any(not 0 <= start < stop for start, stop in zip(self.crop[::2], self.crop[1::2], strict=True)):
                raise OptionError(f"crop keeps nothing: each of z, y, x needs 0 ≤ start < end, got {self.crop}")

    def apply(self, volume: Any) -> NDArray[Any]:
        """Return a volume turned as this says.

        Parameters
        ----------
        volume : array-like, (Z, Y, X) or (Y, X)
            Of a lazy one only the crop is read. A plane (a dark frame, a map of pixels) is cropped in y and x.

        Returns
        -------
        ndarray
            A view wherever `volume` is an array.

        Raises
        ------
        OptionError
            Where the crop goes beyond the volume.
        """
        self._check(tuple(volume.shape))
        turned = np.asarray(volume[self._box(len(volume.shape))])
        # numpy turns from the first axis towards the second: y towards x, which with y down is counter-clockwise.
        turned = np.rot90(turned, -self.rotation, axes=(-2, -1))
        if self.flip_x:
            turned = turned[..., ::-1]
        return turned[..., ::-1, :] if self.flip_y else turned

    def shape_of(self, shape: tuple[int, int, int]) -> tuple[int, int, int]:
        """Return the shape (Z, Y, X) that a volume of this one gets."""
        self._check(shape)
        spans = zip(shape, self._box(3), strict=True)
        z, y, x = (len(range(*part.indices(size))) for size, part in spans)
        return (z, x, y) if self.rotation else (z, y, x)

    def _box(self, axes: int) -> tuple[slice, ...]:
        if self.crop is None:
            return (slice(None),) * axes
        z0, z1, y0, y1, x0, x1 = self.crop
        return (slice(z0, z1), slice(y0, y1), slice(x0, x1))[-axes:]

    def _check(self, shape: tuple[int, ...]) -> None:
        if self.crop is not None and any(
            stop > size for stop, size in zip(self.crop[1::2][-len(shape) :], shape, strict=True)
        ):
            raise OptionError(f"crop {self.crop} goes beyond the volume, {shape}; it is z0, z1, y0, y1, x0, x1")
