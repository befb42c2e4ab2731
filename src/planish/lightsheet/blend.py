"""Two views of one volume made one: in front of a surface the first, behind it the second, a ramp between."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from planish.errors import OptionError
from planish.lightsheet.axes import check_axis
from planish.lightsheet.planewise import Planewise
from planish.lightsheet.ramp import Ramp
from planish.lightsheet.surface import FocusOptions, focus_surface
from planish.threads import Progress

METHODS = ("focus", "adaptive", "geometric", "wavelet", "average")
NUMBERS = {0: "adaptive", 1: "geometric", 2: "wavelet", 3: "average"}
"""What MATLAB calls them."""
RANGES = {"z": 4, "x": 20}
"""Default width of the ramp either side, MATLAB's: cameras blend along z, light sheets (channels) along x."""


@dataclass(frozen=True)
class BlendOptions:
    """How two views become one.

    Attributes
    ----------
    method : str
        ``"focus"``: the surface where the cameras' sharpness crosses. ``"adaptive"``: the surface halfway through the
        specimen. ``"geometric"``: a plane. ``"wavelet"``: of each detail the stronger one. ``"average"``: the mean.
    range : float or None
        Width of the ramp on either side of the surface, in planes along z, in pixels along x; None for the default.
    front : int
        Which view is sharp at the axis's low end: 0 the first, 1 the second.
    axis : str
        ``"z"`` for cameras, ``"x"`` for channels.
    plane : float or None
        Where ``geometric`` changes from one to the other; None for the middle.
    """

    method: str = "focus"
    range: float | None = None
    front: int = 0
    axis: str = "z"
    plane: float | None = None

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise OptionError(f"views do not blend by {self.method!r}; use {', '.join(METHODS)}")
        check_axis(self.axis, self.front)
        if self.range is not None and not self.range >= 0:
            raise OptionError(f"the blending range is 0 or above, not {self.range}")

    @property
    def ramp(self) -> float:
        """Width of the ramp either side."""
        return float(RANGES[self.axis] if self.range is None else self.range)


def blend(
    first: Any,
    second: Any,
    surface: NDArray[Any] | None = None,
    options: BlendOptions | None = None,
    progress: Progress | None = None,
) -> Planewise:
    """Return the blend of two views as a lazy volume.

    Planes are worked out when they are asked for, so that writing it by slabs needs no more memory than some slabs of
    both views; `Planewise.read` returns all of it, in threads.

    Parameters
    ----------
    first, second : array-like, (Z, Y, X)
        Registered views, of the same brightness; sliced by planes.
    surface : ndarray or None
        (Y, X) in planes, or (Y, Z) in pixels along x. Where it is NaN, both views count half. ``adaptive`` needs it
        (`transition_surface`); ``focus`` finds it itself where it is None; the others do without.
    options : BlendOptions
        How.
    progress : callable
        Of finding the surface.

    Returns
    -------
    Planewise
        Of the first view's dtype; values are rounded to even and clipped. A voxel off the ramp has its view's value.

    Raises
    ------
    OptionError
        Where the views differ in shape, or the surface is missing or does not fit.
    """
    options = options or BlendOptions()
    shape = _shape(first)
    if _shape(second) != shape:
        raise OptionError(f"views of {shape} and {_shape(second)} do not blend; crop them alike")
    if options.method in ("wavelet", "average"):
        return (_Wavelet if options.method == "wavelet" else _Average)(first, second, shape)
    if options.method == "focus" and surface is None:
        surface = focus_surface(first, second, FocusOptions(options.axis, options.front), progress)
    return _Ramped(first, second, _ramp(shape, surface, options))


def weights(shape: tuple[int, int, int], surface: NDArray[Any] | None, options: BlendOptions) -> Planewise:
    """Return the first view's share of every voxel, 0 to 1, as a lazy volume of float32; the second has the rest.

    Raises
    ------
    OptionError
        Where the surface is missing or does not fit, or with ``wavelet``, which weighs no voxels.
    """
    if options.method == "wavelet":
        raise OptionError("wavelet weighs details and no voxels; there are no weights to show")
    return _Weights(_ramp(shape, surface, options))


def _shape(volume: Any) -> tuple[int, int, int]:
    shape = tuple(int(size) for size in volume.shape)
    if len(shape) != 3:
        raise OptionError(f"a view to blend is (Z, Y, X), not {shape}")
    return shape


def _ramp(shape: tuple[int, int, int], surface: NDArray[Any] | None, options: BlendOptions) -> Ramp:
    return Ramp(shape, _surface(shape, surface, options), options.ramp, options.axis, options.front)


def _surface(shape: tuple[int, int, int], surface: NDArray[Any] | None, options: BlendOptions) -> NDArray[np.float64]:
    planes, height, width = shape
    along_z = options.axis == "z"
    size = (height, width) if along_z else (height, planes)
    if options.method == "average":
        return np.full(size, np.nan)
    if options.method == "geometric":
        middle = ((planes if along_z else width) - 1) / 2
        return np.full(size, middle if options.plane is None else float(options.plane))
    if surface is None:
        raise OptionError(f"{options.method} needs the surface where the views meet; give one, or use geometric")
    if surface.shape != size:
        raise OptionError(f"a surface of {surface.shape} does not fit views of {shape}; {size} does")
    return np.asarray(surface, np.float64)


class _Ramped(Planewise):
    def __init__(self, first: Any, second: Any, ramp: Ramp) -> None:
        super().__init__(ramp.shape, _dtype(first))
        self._views, self._ramp = (first, second), ramp

    def slab(self, start: int, stop: int) -> NDArray[Any]:
        views = [self._ramp.single(plane) for plane in range(start, stop)]
        if views[0] is not None and len(set(views)) == 1:
            return _fitting(np.asarray(self._views[views[0]][start:stop]), self.dtype)
        one, other = (np.asarray(volume[start:stop]) for volume in self._views)
        return np.stack([self._plane(plane, one[plane - start], other[plane - start]) for plane in range(start, stop)])

    def _plane(self, plane: int, one: NDArray[Any], other: NDArray[Any]) -> NDArray[Any]:
        part = self._ramp.part(plane)
        result = np.where(part.first, one, _fitting(other, self.dtype))
        mixed = part.share * one[part.both] + (1 - part.share) * other[part.both]
        result[part.both] = _fitting(mixed, self.dtype)
        return result


class _Average(Planewise):
    def __init__(self, first: Any, second: Any, shape: tuple[int, int, int]) -> None:
        super().__init__(shape, _dtype(first))
        self._first, self._second = first, second

    def slab(self, start: int, stop: int) -> NDArray[Any]:
        one, other = (np.asarray(volume[start:stop]) for volume in (self._first, self._second))
        return _fitting(np.add(one, other, dtype=np.float64) / 2, self.dtype)


class _Weights(Planewise):
    def __init__(self, ramp: Ramp) -> None:
        super().__init__(ramp.shape, np.dtype(np.float32))
        self._ramp = ramp

    def slab(self, start: int, stop: int) -> NDArray[Any]:
        result = np.empty((stop - start, *self.shape[1:]), np.float32)
        for index, plane in enumerate(range(start, stop)):
            part = self._ramp.part(plane)
            result[index] = part.first
            result[index][part.both] = part.share
        return result


class _Wavelet(Planewise):
    def __init__(self, first: Any, second: Any, shape: tuple[int, int, int]) -> None:
        super().__init__(shape, _dtype(first))
        self._first, self._second = first, second

    def slab(self, start: int, stop: int) -> NDArray[Any]:
        from planish.lightsheet.wavelet import fuse_planes  # PyWavelets takes a while to load

        pairs = zip(self._first[start:stop], self._second[start:stop], strict=True)
        return np.stack([_fitting(fuse_planes(*pair), self.dtype) for pair in pairs])


def _dtype(volume: Any) -> np.dtype[Any]:
    dtype: np.dtype[Any] = np.dtype(volume.dtype)
    return dtype.newbyteorder("=")


def _fitting(values: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Round and clip to a dtype that may not hold the values."""
    if values.dtype == dtype or dtype.kind not in "iu":
        return values.astype(dtype, copy=False)
    if values.dtype.kind in "iu":
        values = values.astype(np.float64)
    limits = np.iinfo(dtype)
    return np.asarray(np.clip(np.rint(values), limits.min, limits.max), dtype)
