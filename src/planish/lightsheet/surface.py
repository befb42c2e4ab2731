"""Where one camera takes over from the other: for every column of the volume the place along the blending axis."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from planish.errors import OptionError
from planish.lightsheet.axes import check_axis
from planish.lightsheet.crossing import FocusOptions, focus_surface
from planish.lightsheet.padding import RADIUS, Surface, extended, pad

__all__ = ["FocusOptions", "SurfaceOptions", "focus_surface", "transition_surface"]

_WINDOW = 16
"""The median is taken over up to so many samples each way: of surfaces so smooth, more would say the same."""


class Foreground(Protocol):
    """Of a mask: its mean z (Y, X), in planes, and its mean x (Y, Z), in pixels; NaN where it is empty."""

    @property
    def z_yx(self) -> NDArray[Any]:
        """Mean z of the mask."""

    @property
    def x_yz(self) -> NDArray[Any]:
        """Mean x of the mask."""


@dataclass(frozen=True)
class SurfaceOptions:
    """How two masks become one surface.

    Attributes
    ----------
    axis : str
        ``"z"`` for cameras: the surface is (Y, X), in planes. ``"x"`` for channels: (Y, Z), in pixels.
    views : str
        ``"either"``: a column that only one mask knows takes its surface from that one. ``"both"``: it stays unknown.
    median : int
        Edge of the square median filter, in pixels; 0 for none.
    sigma : float
        Of a Gaussian after it, in pixels; 0 for none.
    radius : float
        Of the padding ``"dilate"``, in pixels.
    """

    axis: str = "z"
    views: str = "either"
    median: int = 100
    sigma: float = 0.0
    radius: float = RADIUS

    def __post_init__(self) -> None:
        check_axis(self.axis)
        if self.views not in ("either", "both"):
            raise OptionError(f"the masks of 'either' or of 'both' views make a surface, not {self.views!r}")
        if not all(number >= 0 for number in (self.median, self.sigma, self.radius)):
            raise OptionError("a surface's median, sigma and radius are 0 or above")


def transition_surface(
    first: Foreground, second: Foreground, padding: str = "none", options: SurfaceOptions | None = None
) -> Surface:
    """Return the surface halfway through the specimen: the masks' mean place, averaged over both views, smoothed.

    Parameters
    ----------
    first, second : Foreground
        Of both views, registered.
    padding : str
        What is beyond the masks: ``"none"``, ``"centre"`` or ``"dilate"``; see `planish.lightsheet.padding.pad`.
    options : SurfaceOptions
        How.

    Returns
    -------
    ndarray of float32
        (Y, X) in planes, or (Y, Z) in pixels along x; NaN where it is unknown.

    Raises
    ------
    OptionError
        Where the views differ in size, or the padding is unknown.
    """
    options = options or SurfaceOptions()
    shapes = [(*view.z_yx.shape, view.x_yz.shape[1]) for view in (first, second)]
    if shapes[0] != shapes[1]:
        raise OptionError(f"masks of (Y, X, Z) {shapes[0]} and {shapes[1]} px make no surface; crop the views alike")
    along_z = options.axis == "z"
    places = [np.asarray(view.z_yx if along_z else view.x_yz, np.float32) for view in (first, second)]
    surface = _mean(*places, both=options.views == "both")
    length = shapes[0][2] if along_z else shapes[0][1]
    return pad(smoothed(surface, options), padding, (length - 1) / 2, options.radius)


def _mean(first: Surface, second: Surface, *, both: bool) -> Surface:
    mean: Surface = ((first + second) / 2).astype(np.float32)
    if both:
        return mean
    one = np.where(np.isfinite(first), first, second)
    return np.where(np.isfinite(mean), mean, one)


def smoothed(surface: Surface, options: SurfaceOptions) -> Surface:
    """Return a surface smoothed by the options' median and Gaussian; what is unknown stays so, and counts for nothing.

    At the borders the surface is continued by its point reflection, so that a slope stays one.
    """
    known = np.isfinite(surface)
    if not known.any() or not (options.median or options.sigma):
        return surface
    whole = extended(surface)
    if options.median > 1:
        whole = _median(whole, options.median)
    if options.sigma:
        margin = ceil(3 * options.sigma)
        whole = _inside(ndimage.gaussian_filter(_continued(whole, margin), options.sigma), margin)
    return np.where(known, whole, np.float32(np.nan))


def _median(surface: Surface, window: int) -> Surface:
    step = ceil(window / _WINDOW)
    height, width = surface.shape
    size = (ceil(width / step), ceil(height / step))
    few = cv2.resize(surface, size, interpolation=cv2.INTER_AREA).reshape(size[::-1]) if step > 1 else surface
    reach = round(window / step)
    # Even windows would shift the surface by half a sample.
    filtered = ndimage.median_filter(_continued(few, reach), reach | 1)
    few = _inside(filtered, reach)
    if step == 1:
        return few
    return np.asarray(cv2.resize(few, (width, height), interpolation=cv2.INTER_LINEAR), np.float32).reshape(height, -1)


def _continued(surface: Surface, margin: int) -> Surface:
    return np.pad(surface, margin, mode="reflect", reflect_type="odd") if min(surface.shape) > 1 else surface


def _inside(surface: Surface, margin: int) -> Surface:
    return surface[margin:-margin, margin:-margin] if min(surface.shape) > 2 * margin else surface
