"""Where the specimen is in a volume, and the middle of it along z and along x."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from planish.errors import OptionError
from planish.lightsheet.background import prctile
from planish.lightsheet.gaussian import Gaussian, smooth_planes
from planish.lightsheet.smallobjects import remove_small

MODES = ("none", "mask", "masks-only", "global")
"""What a correction does: no masks; zero outside each volume's own; write the masks, but no volumes; zero outside the
union of all time points' masks."""
_PERCENTILE = 1.0
_STEP = 100
"""Every how many voxels one is sampled for the level."""
_CONTRAST = 1e-5
"""Below this share of the mean, what is brighter than the background is rounding."""


@dataclass(frozen=True, slots=True)
class MaskOptions:
    """How the specimen is told from the background.

    Attributes
    ----------
    mode : str
        One of `MODES`.
    gaussian : Gaussian
        What smooths the volume first.
    level : float
        Foreground is above p1 + level × (mean − p1), p1 being the first percentile of the smoothed voxels: 0.4 for
        correction, 1.0 in the fusion of the Keller lab's pipeline.
    smallest : float
        Objects of fewer voxels than this share of the volume are dropped; 0 keeps all.
    slab : int
        Planes at a time; the mask does not depend on it, the memory does.
    jobs : int
        Threads.
    """

    mode: str = "mask"
    gaussian: Gaussian = field(default_factory=Gaussian)
    level: float = 0.4
    smallest: float = 1e-5
    slab: int = 16
    jobs: int = 2

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise OptionError(f"no mask mode {self.mode!r}; use {', '.join(MODES)}")
        if not (self.gaussian.sigma > 0 and self.gaussian.axial_ratio > 0):
            raise OptionError(f"mask: sigma and axial ratio must be above 0, got {self.gaussian}")
        if not self.level >= 0 or not 0 <= self.smallest <= 1 or self.slab < 1 or self.jobs < 1:
            raise OptionError(
                "mask: level must not be negative, smallest 0 to 1, slab and jobs at least 1; got "
                f"level {self.level}, smallest {self.smallest}, slab {self.slab}, jobs {self.jobs}"
            )


@dataclass(frozen=True, slots=True)
class Foreground:
    """Where the specimen is.

    Attributes
    ----------
    mask : ndarray of bool, (Z, Y, X)
        True in the specimen.
    z_yx : ndarray of float32, (Y, X)
        Mean z of its voxels, in planes from 0; NaN where there are none.
    x_yz : ndarray of float32, (Y, Z)
        Mean x of its voxels, in pixels from 0; NaN where there are none.
    """

    mask: NDArray[np.bool_]
    z_yx: NDArray[np.float32]
    x_yz: NDArray[np.float32]

    @classmethod
    def of(cls, mask: NDArray[np.bool_]) -> Foreground:
        """Measure a mask, (Z, Y, X)."""
        depth, height, width = mask.shape
        count, total = np.zeros((2, height, width))
        x_yz = np.empty((height, depth), np.float32)
        along = np.stack([np.ones(width), np.arange(width)], axis=1)
        for z, plane in enumerate(mask):
            count += plane
            total += plane * float(z)
            rows, sums = (plane @ along).T
            x_yz[:, z] = _mean(sums, rows)
        return cls(mask, _mean(total, count), x_yz)


def _mean(total: NDArray[np.float64], count: NDArray[np.float64]) -> NDArray[np.float32]:
    mean = np.full(total.shape, np.nan)
    np.divide(total, count, out=mean, where=count > 0)
    return mean.astype(np.float32)


def foreground(volume: Any, options: MaskOptions | None = None) -> Foreground:
    """Find the specimen in a volume.

    The volume is smoothed twice, once for the level and once to be compared with it, so that no smoothed one is held:
    memory is the mask, one byte per voxel, and what `smooth_planes` and `remove_small` take.

    Parameters
    ----------
    volume : array-like, (Z, Y, X)
        Integers or floats; read plane by plane, twice.
    options : MaskOptions or None
        How; the mode is the caller's business.

    Returns
    -------
    Foreground
        Empty where the volume has no contrast.
    """
    options = options or MaskOptions()
    found = np.zeros(tuple(volume.shape), bool)
    level = _level(volume, options)
    if level is not None:
        planes = smooth_planes(volume, options.gaussian, options.slab, options.jobs)
        for target, plane in zip(found, planes, strict=True):
            np.greater(plane, level, out=target)
        remove_small(found, int(np.ceil(options.smallest * found.size)), options.slab, options.jobs)
    return Foreground.of(found)


def _level(volume: Any, options: MaskOptions) -> float | None:
    """Return what is brighter than foreground, from every `_STEP`-th voxel; None where there is no contrast."""
    sample, skip = [], 0
    for plane in smooth_planes(volume, options.gaussian, options.slab, options.jobs):
        sample.append(plane.ravel()[skip::_STEP].astype(np.float64))
        skip = (skip - plane.size) % _STEP
    values = np.concatenate(sample or [np.zeros(0)])
    if not values.size:
        return None
    dark, mean = prctile(values, _PERCENTILE), float(values.mean())
    return dark + options.level * (mean - dark) if mean - dark > _CONTRAST * abs(mean) else None


def merge_masks(masks: Iterable[Any]) -> NDArray[np.bool_]:
    """Return the union of masks of one shape, as of all time points.

    Parameters
    ----------
    masks : iterable of array-like, (Z, Y, X)
        Anything but 0 is specimen; read plane by plane, one mask after the other.

    Raises
    ------
    OptionError
        Where there is none, or their shapes differ.
    """
    union: NDArray[np.bool_] | None = None
    for index, mask in enumerate(masks):
        if union is None:
            union = np.zeros(tuple(mask.shape), bool)
        if tuple(mask.shape) != union.shape:
            raise OptionError(f"mask {index} is {tuple(mask.shape)}, those before it {union.shape}; crop them alike")
        for z, plane in enumerate(union):
            plane |= np.asarray(mask[z]) != 0
    if union is None:
        raise OptionError("no masks to merge; write them first (mask mode mask or masks-only)")
    return union


def apply_mask(planes: NDArray[Any], mask: NDArray[Any]) -> NDArray[Any]:
    """Return planes with 0 outside a mask of the same shape."""
    return np.where(mask, planes, planes.dtype.type(0))
