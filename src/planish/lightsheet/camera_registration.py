"""How the second camera of a pair lies to the first: a shift in x and y and a turn about z."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from planish.errors import OptionError
from planish.lightsheet.alignment import Image, Search, align, check_score, check_shapes, quiet
from planish.lightsheet.transform import CameraTransform
from planish.threads import cores, in_threads


@dataclass(frozen=True)
class CameraRegistrationOptions:
    """How to register cameras.

    Attributes
    ----------
    planes : int
        Planes that are compared, each on its own; the answer is their median.
    half_slab : int
        They lie up to so many planes on either side of where the cameras cross over, for there both see alike.
    max_shift_px : float
        How far to look, in x and y to either side.
    max_angle_deg : float
        How far to turn, to either side.
    min_score : float
        A correlation below this is refused.
    jobs : int or None
        Threads; None for one per core.
    """

    planes: int = 17
    half_slab: int = 8
    max_shift_px: float = 50.0
    max_angle_deg: float = 3.0
    min_score: float = 0.3
    jobs: int | None = None

    def __post_init__(self) -> None:
        if self.planes < 1 or self.half_slab < 0:
            raise OptionError(
                f"registration compares planes of a slab: planes is at least 1 and half_slab at least 0, "
                f"not {self.planes} and {self.half_slab}"
            )
        if not (self.max_shift_px >= 0 and self.max_angle_deg >= 0):
            raise OptionError(f"search ranges are 0 or more, not {self.max_shift_px} px and {self.max_angle_deg}°")


def register_cameras(
    first: Any,
    second: Any,
    options: CameraRegistrationOptions | None = None,
    *,
    surface: NDArray[np.floating[Any]] | None = None,
) -> CameraTransform:
    """Find how to move the second camera's volume onto the first's.

    In memory are the planes compared, twice, as float32: 17 pairs of 2048 × 2048 pixels are 544 MiB.

    Parameters
    ----------
    first, second : array
        (Z, Y, X) of one shape, the second already rotated and flipped; or anything that gives a plane as volume[z]. Hot
        pixels do no harm.
    options : CameraRegistrationOptions, optional
        How.
    surface : ndarray, optional
        (Y, X): where the cameras cross over, in planes of the first volume, NaN where there is no specimen. Only pixels
        within `half_slab` planes of it count then. Default: the middle plane, and all pixels.

    Raises
    ------
    OptionError
        Where the volumes' shapes differ.
    NothingInCommon
        Where the best fit is worse than `min_score`.
    """
    options = options or CameraRegistrationOptions()
    check_shapes("cameras", first, second)
    indices = _indices(first.shape[0], options, surface)
    search = Search(options.max_shift_px, options.max_shift_px, options.max_angle_deg, options.jobs)
    masks = None if surface is None else [np.abs(surface - z) <= options.half_slab for z in indices]
    stacks = [_quiet_planes(volume, indices, options.jobs) for volume in (first, second)]
    found = align(stacks[0], stacks[1], search, masks)
    check_score("cameras", found.score, options.min_score)
    return CameraTransform(found.moved.dx, found.moved.dy, found.moved.angle_deg, found.score)


def _quiet_planes(volume: Any, indices: list[int], jobs: int | None) -> list[Image]:
    """Read planes as float32 and take the single bright pixels out of them."""
    with in_threads(lambda z: quiet(volume[z]), ((z,) for z in indices), jobs or cores(), ordered=True) as planes:
        return list(planes)


def _indices(count: int, options: CameraRegistrationOptions, surface: NDArray[np.floating[Any]] | None) -> list[int]:
    """Choose planes evenly around the crossover, where it runs through most of the specimen."""
    low = high = (count - 1) / 2
    if surface is not None and np.isfinite(surface).any():
        low, high = np.nanpercentile(surface, [10, 90]).tolist()
    low, high = max(low - options.half_slab, 0), min(high + options.half_slab, count - 1)
    return sorted({round(z) for z in np.linspace(low, high, options.planes).tolist()})
