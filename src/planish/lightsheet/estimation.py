"""One unit's parameters: how its cameras and light sheets lie to each other, and how bright they are."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import nan
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from planish.errors import SlideError
from planish.lightsheet.camera_registration import register_cameras
from planish.lightsheet.channel_registration import register_channels
from planish.lightsheet.crossing import FocusOptions, focus_surface
from planish.lightsheet.dataset import Dataset
from planish.lightsheet.fuseoptions import EstimateOptions, Transition
from planish.lightsheet.intensity import gain
from planish.lightsheet.lazyvolume import Voxel
from planish.lightsheet.middles import Middles, middles_of
from planish.lightsheet.names import Look
from planish.lightsheet.padding import extended
from planish.lightsheet.parameters import Parameters
from planish.lightsheet.surface import transition_surface
from planish.lightsheet.transform import CameraTransform, apply_camera, apply_channel, covered
from planish.lightsheet.units import Unit

_PASSES = 2
"""On phantoms the gain is 0.8 to 3.9 % off around the masks' middle, 0.1 to 2.1 % after two, and hardly better then."""


@dataclass(frozen=True, eq=False)
class Loaded:
    """A view in memory."""

    path: Path
    pixels: NDArray[Any]
    voxel_um: Voxel | None

    @property
    def axial_ratio(self) -> float:
        """Plane distance over pixel size, 1 where it is not known."""
        return self.voxel_um[0] / self.voxel_um[2] if self.voxel_um else 1.0


def load(data: Dataset, look: Look) -> Loaded:
    """Read a view whole, as an array of its own."""
    with data.volume(look) as volume:
        pixels = volume[...]
        # Of a file that is mapped, they are the file's, and not to be written to.
        own = pixels if pixels.flags.writeable and not isinstance(pixels, np.memmap) else np.array(pixels)
        return Loaded(data.path(look), own, volume.voxel_um)


def estimate_unit(data: Dataset, unit: Unit, options: EstimateOptions) -> list[Parameters]:
    """Return a unit's parameters, one row per channel.

    Memory: two views, and what registration takes.

    Raises
    ------
    PlanishError
        Where views cannot be read, differ in size, or show nothing in common.
    """
    rows = [_cameras(data, unit, index, options) for index in range(len(unit.channels))]
    return [rows[0], *(_channel(data, unit, row, options) for row in rows[1:])]


def check_alike(unit: Unit, first: Loaded, second: Loaded) -> None:
    """Raise SlideError where two views differ in size."""
    if first.pixels.shape != second.pixels.shape:
        raise SlideError(
            f"{unit.fused.stem}: the views are {first.pixels.shape} and {second.pixels.shape} (Z, Y, X); crop them to "
            "one size (planish lightsheet correct --crop)"
        )


def _cameras(data: Dataset, unit: Unit, channel: int, options: EstimateOptions) -> Parameters:
    row = Parameters(
        unit.specimen,
        unit.time,
        unit.cameras[0],
        unit.cameras[1] if len(unit.cameras) > 1 else None,
        unit.channels[channel],
    )
    if row.second_camera is None:
        return row
    first, second = (load(data, unit.look(camera, channel)) for camera in (0, 1))
    check_alike(unit, first, second)
    found = register_cameras(first.pixels, second.pixels, replace(options.camera, jobs=options.jobs))
    middles = [middles_of(view.path, view.pixels, options.transition.mask) for view in (first, second)]
    surface = camera_surface(middles[0], middles[1].moved(found), options.transition)
    apply_camera(second.pixels, found, out=second.pixels, jobs=options.jobs)
    ratio = _brightness(first.pixels, second.pixels, surface, found, options)
    return replace(row, dx=found.dx, dy=found.dy, angle_deg=found.angle_deg, score=found.score, gain=ratio)


def _brightness(
    first: NDArray[Any],
    second: NDArray[Any],
    surface: NDArray[np.float32],
    found: CameraTransform,
    options: EstimateOptions,
) -> float:
    """Return the gain of registered cameras.

    Both see equally well where they are equally sharp, and lose as much light there if the way out is alike; to tell
    that, they must be of one brightness, so that one answer betters the other. The masks' middle is where it begins.
    """
    where = covered((first.shape[1], first.shape[2]), found)
    ratio = gain(first, second, surface, options.camera_slab, where=where)
    for _ in range(_PASSES):
        at = focus_surface(first, _Brighter(second, ratio), FocusOptions(front=options.front, jobs=options.jobs or 0))
        ratio = gain(first, second, at, options.camera_slab, where=where)
    return ratio


class _Brighter:
    """A volume whose planes are multiplied when they are asked for."""

    def __init__(self, volume: NDArray[Any], factor: float) -> None:
        self.shape, self._volume, self._factor = volume.shape, volume, np.float32(factor)

    def __getitem__(self, planes: Any) -> NDArray[np.float32]:
        return np.asarray(self._volume[planes] * self._factor, np.float32)


def _channel(data: Dataset, unit: Unit, row: Parameters, options: EstimateOptions) -> Parameters:
    """Add how the second light sheet lies to the first, as the pair's first camera sees both."""
    first, second = (load(data, unit.look(0, channel)) for channel in (0, 1))
    check_alike(unit, first, second)
    ratio = first.axial_ratio
    registering = replace(options.channel, axial_ratio=ratio, jobs=options.jobs)
    found = register_channels(first.pixels, second.pixels, registering)
    one, other = (middles_of(view.path, view.pixels, options.transition.mask) for view in (first, second))
    apply_channel(second.pixels, found, ratio, out=second.pixels, jobs=options.jobs)
    surface = _filled(
        transition_surface(one, other, options.transition.padding, options.transition.along("x")),
        (first.pixels.shape[2] - 1) / 2,
    )
    brightness = gain(first.pixels, second.pixels, surface, options.channel_slab, axis=2)
    score = found.score if np.isnan(row.score) else row.score
    return replace(row, dz=found.dz, angle_xz_deg=found.angle_deg, channel_gain=brightness, score=score)


def camera_surface(first: Middles, second: Middles, transition: Transition) -> NDArray[np.float32]:
    """Return where registered cameras cross over, in planes, (Y, X); NaN where nothing tells."""
    return transition_surface(first, second, transition.padding, transition.along("z"))


def _filled(surface: NDArray[np.float32], centre: float) -> NDArray[np.float32]:
    known = np.isfinite(surface)
    return extended(surface) if known.any() else np.full(surface.shape, centre, np.float32)


def transform_of(row: Parameters) -> CameraTransform:
    """Return how a row moves the second camera.

    Raises
    ------
    SlideError
        Where the table has no numbers for it.
    """
    found = CameraTransform(row.dx, row.dy, row.angle_deg, nan if row.score is None else row.score)
    if not np.isfinite([found.dx, found.dy, found.angle_deg, row.gain]).all() or row.gain <= 0:
        raise SlideError(
            f"the table has no dx, dy, angle_deg and gain for specimen {row.specimen}, time {row.time}, cameras "
            f"{row.first_camera} and {row.second_camera}, channel {row.channel}; smooth it, which fills gaps, or "
            "estimate it"
        )
    return found
