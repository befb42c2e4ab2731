"""How the second light sheet lies to the first: an offset in z and a turn in the x-z plane."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from planish.errors import OptionError
from planish.lightsheet.alignment import Image, Search, align, check_score, check_shapes, quiet
from planish.lightsheet.transform import ChannelTransform
from planish.threads import each_in_threads


@dataclass(frozen=True)
class ChannelRegistrationOptions:
    """How to register channels.

    Attributes
    ----------
    sections : int
        x-z sections that are compared, evenly over the middle half of y, each on its own; the answer is their median.
    max_shift_planes : float
        How far to look, to either side.
    max_angle_deg : float
        How far to turn, to either side.
    min_score : float
        A correlation below this is refused.
    axial_ratio : float
        Plane distance over pixel size.
    jobs : int or None
        Threads; None for one per core.
    """

    sections: int = 33
    max_shift_planes: float = 10.0
    max_angle_deg: float = 3.0
    min_score: float = 0.3
    axial_ratio: float = 1.0
    jobs: int | None = None

    def __post_init__(self) -> None:
        if self.sections < 1 or self.axial_ratio <= 0:
            raise OptionError(
                f"registration compares at least 1 section, of planes some way apart, not {self.sections} with an "
                f"axial ratio of {self.axial_ratio}"
            )


def register_channels(first: Any, second: Any, options: ChannelRegistrationOptions | None = None) -> ChannelTransform:
    """Find how to move the second channel's volume onto the first's.

    Every plane is read once; in memory are the sections, twice, as float32: 33 of 200 planes of 2048 pixels, drawn
    with square pixels at an axial ratio of 2.5, are 2 × 131 MiB.

    Parameters
    ----------
    first, second : array
        (Z, Y, X) of one shape and one camera; or anything that gives a plane as volume[z].
    options : ChannelRegistrationOptions, optional
        How.

    Raises
    ------
    OptionError
        Where the volumes' shapes differ.
    NothingInCommon
        Where the best fit is worse than `min_score`.
    """
    options = options or ChannelRegistrationOptions()
    check_shapes("channels", first, second)
    ratio = options.axial_ratio
    # The camera is the same one, so x stays where it is.
    search = Search(2.0, options.max_shift_planes * ratio, options.max_angle_deg, options.jobs)
    found = align(_sections(first, options), _sections(second, options), search)
    check_score("channels", found.score, options.min_score)
    return ChannelTransform(found.moved.dy / ratio, found.moved.angle_deg, found.score)


def _sections(volume: Any, options: ChannelRegistrationOptions) -> list[Image]:
    """Cut x-z sections with square pixels."""
    planes, height, width = volume.shape
    count = min(options.sections, max(height // 2, 1))
    rows = np.rint(np.linspace(height / 4, 3 * height / 4 - 1, count)).astype(int).clip(0, height - 1)
    cut = np.empty((len(rows), planes, width), np.float32)

    def take(z: int) -> None:
        cut[:, z] = _rows(np.asarray(volume[z]), rows)

    each_in_threads(take, planes, options.jobs)
    return [_square(section, options.axial_ratio) for section in cut]


def _rows(plane: NDArray[Any], rows: NDArray[np.intp]) -> Image:
    """Take rows out of a plane without its hot pixels, which in a section would be lines."""
    return np.stack([quiet(plane[max(row - 1, 0) : row + 2])[min(row, 1)] for row in rows])


def _square(section: Image, ratio: float) -> Image:
    planes, width = section.shape
    height = max(round((planes - 1) * ratio) + 1, 1)
    # Both middles fall on each other, as the turn is about them.
    matrix = np.array([[1, 0, 0], [0, 1 / ratio, (planes - 1) / 2 - (height - 1) / (2 * ratio)]])
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    drawn = cv2.warpAffine(section, matrix, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(drawn, np.float32)
