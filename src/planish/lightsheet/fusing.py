"""One unit fused as a row of the table says: moved, matched, blended."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from planish.errors import SlideError
from planish.lightsheet.blend import BlendOptions, blend, weights
from planish.lightsheet.crossing import FocusOptions, focus_surface
from planish.lightsheet.dataset import Dataset
from planish.lightsheet.diagnostics import Views, draw_fusion, draw_gain, draw_registration, draw_weights
from planish.lightsheet.estimation import Loaded, camera_surface, check_alike, load, transform_of
from planish.lightsheet.fuseoptions import FuseOptions
from planish.lightsheet.intensity import factors
from planish.lightsheet.layout import Layout
from planish.lightsheet.lazyvolume import Voxel
from planish.lightsheet.middles import Middles, middles_of
from planish.lightsheet.parameters import Parameters
from planish.lightsheet.surface import transition_surface
from planish.lightsheet.transform import ChannelTransform, apply_camera, apply_channel, covered, move_image
from planish.lightsheet.units import Unit
from planish.threads import each_in_threads

Surface = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class FusedUnit:
    """What became of a unit.

    Attributes
    ----------
    pixels : array-like, (Z, Y, X)
        Sliced by planes; worked out when they are asked for.
    voxel_um : tuple of float or None
        As its views'.
    """

    pixels: Any
    voxel_um: Voxel | None


@dataclass(frozen=True)
class Fuser:
    """Fuses units.

    Memory: both views of a pair as stored, and some slabs of the result; for light sheets, both their results, too.

    Attributes
    ----------
    data : Dataset
        Corrected volumes.
    options : FuseOptions
        How.
    layout : Layout
        Where pictures go.
    """

    data: Dataset
    options: FuseOptions
    layout: Layout

    def fuse(self, unit: Unit, rows: list[Parameters]) -> FusedUnit:
        """Fuse one unit.

        Parameters
        ----------
        unit : Unit
            What becomes one.
        rows : list of Parameters
            Of each of its channels.

        Raises
        ------
        PlanishError
            Where views cannot be read or differ in size, or a row lacks numbers.
        """
        if len(rows) == 1:
            return self._cameras(unit, 0, rows[0])
        first, second = (self._whole(unit, index, row) for index, row in enumerate(rows))
        return self._channels(unit, rows, first, second)

    def _whole(self, unit: Unit, channel: int, row: Parameters) -> FusedUnit:
        made = self._cameras(unit, channel, row)
        pixels = made.pixels if isinstance(made.pixels, np.ndarray) else made.pixels.read(self.options.output.jobs)
        return FusedUnit(pixels, made.voxel_um)

    def _cameras(self, unit: Unit, channel: int, row: Parameters) -> FusedUnit:
        """Return one channel as its cameras together see it."""
        first = load(self.data, unit.look(0, channel))
        if len(unit.cameras) == 1:
            return FusedUnit(first.pixels, first.voxel_um)
        second = load(self.data, unit.look(1, channel))
        check_alike(unit, first, second)
        found, jobs = transform_of(row), self.options.output.jobs
        middle = len(first.pixels) // 2
        before = first.pixels[middle].copy(), second.pixels[middle].copy()
        maps = self._middles(first, second)
        apply_camera(second.pixels, found, out=second.pixels, jobs=jobs)
        pictures = _Pictures(self, unit, channel, first)
        pictures.registration((*before, second.pixels[middle].copy()), found)
        pictures.gain(first, second, row.gain, middle)
        for view, factor in zip((first, second), factors(row.gain), strict=True):
            multiply(view.pixels, factor, jobs)
        # What the second camera does not see is the first one's alone.
        unseen = ~covered((first.pixels.shape[1], first.pixels.shape[2]), found)
        each_in_threads(lambda z: np.copyto(second.pixels[z], first.pixels[z], where=unseen), len(first.pixels), jobs)
        surface = None
        if maps and self.options.camera.method == "adaptive":
            surface = camera_surface(maps[0], maps[1].moved(found), self.options.transition)
        fused = self._blend(pictures, (first.pixels, second.pixels), surface, self.options.camera)
        return FusedUnit(fused, first.voxel_um)

    def _channels(self, unit: Unit, rows: list[Parameters], first: FusedUnit, second: FusedUnit) -> FusedUnit:
        """Return what both light sheets together show."""
        told = channel_of(rows[1])
        voxel, jobs = first.voxel_um, self.options.output.jobs
        ratio = voxel[0] / voxel[2] if voxel else 1.0
        apply_channel(second.pixels, told, ratio, out=second.pixels, jobs=jobs)
        # The table compares the first camera's channels; each has been brought to the brighter camera since.
        own = [factors(row.gain)[0] if np.isfinite(row.gain) else 1.0 for row in rows]
        brightness = rows[1].channel_gain * own[0] / own[1]
        for made, factor in zip((first, second), factors(brightness), strict=True):
            multiply(made.pixels, factor, jobs)
        depth, _, width = first.pixels.shape
        seen = move_image(np.ones((depth, width), np.float32), told.matrix((depth, width), ratio)) > 0.999
        each_in_threads(lambda z: np.copyto(second.pixels[z], first.pixels[z], where=~seen[z]), depth, jobs)
        surface = None
        if self.options.channel.method == "adaptive":
            surface = self._sheet_surface(unit)
        name = f"{unit.fused.stem}: light sheets"
        pictures = _Pictures(self, unit, 0, Loaded(self.data.folder, first.pixels, voxel), name, "sheets-")
        return FusedUnit(self._blend(pictures, (first.pixels, second.pixels), surface, self.options.channel), voxel)

    def _blend(
        self, pictures: _Pictures, views: tuple[Any, Any], surface: Surface | None, options: BlendOptions
    ) -> Any:
        if options.method == "focus":
            jobs = self.options.output.jobs
            surface = focus_surface(*views, FocusOptions(options.axis, options.front, jobs=jobs))
        fused = blend(*views, surface, options)
        pictures.result(views, fused, surface, options)
        return fused

    def _middles(self, first: Loaded, second: Loaded) -> list[Middles] | None:
        if self.options.camera.method != "adaptive":
            return None
        return [middles_of(view.path, view.pixels, self.options.transition.mask) for view in (first, second)]

    def _sheet_surface(self, unit: Unit) -> Surface:
        """Return where one light sheet takes over from the other, in pixels of x, (Y, Z), by its masks."""
        maps = []
        for channel in (0, 1):
            with self.data.volume(unit.look(0, channel)) as volume:
                maps.append(middles_of(volume.source, volume, self.options.transition.mask))
        first, second = maps
        return transition_surface(first, second, self.options.transition.padding, self.options.transition.along("x"))


class _Pictures:
    """Draws what happens to one pair of views, where pictures are wanted."""

    def __init__(self, fuser: Fuser, unit: Unit, channel: int, first: Loaded, name: str = "", prefix: str = "") -> None:
        key = unit.fused if prefix else replace(unit.fused, channel=unit.channels[channel])
        self._wanted, self._layout, self._key = fuser.options.output.diagnostics, fuser.layout, key
        self._name, self._prefix, self._aspect = name or key.stem, prefix, first.axial_ratio

    def _path(self, name: str) -> Any:
        return self._layout.diagnostic(self._key, f"{self._prefix}{name}")

    def registration(self, planes: tuple[Any, Any, Any], found: Any) -> None:
        if self._wanted:
            draw_registration(self._path("registration"), self._name, planes, found)

    def gain(self, first: Loaded, second: Loaded, gain: float, transition: float) -> None:
        if self._wanted:
            draw_gain(self._path("intensity"), Views(self._name, first.pixels, second.pixels), gain, transition)

    def result(self, views: tuple[Any, Any], fused: Any, surface: Surface | None, options: BlendOptions) -> None:
        if not self._wanted:
            return
        draw_fusion(self._path("fusion"), Views(self._name, *views, self._aspect), fused)
        if options.method != "wavelet":
            draw_weights(
                self._path("weights"), self._name, weights(tuple(fused.shape), surface, options), surface, self._aspect
            )


def multiply(pixels: NDArray[Any], factor: float, jobs: int) -> None:
    """Multiply a volume in place; whole numbers are rounded and clipped."""
    if factor == 1:
        return

    def work(z: int) -> None:
        scaled = pixels[z].astype(np.float32) * np.float32(factor)
        if pixels.dtype.kind in "iu":
            limits = np.iinfo(pixels.dtype)
            scaled = np.clip(np.rint(scaled), limits.min, limits.max)
        pixels[z] = scaled

    each_in_threads(work, len(pixels), jobs)


def channel_of(row: Parameters) -> ChannelTransform:
    """Return how a row moves the second light sheet.

    Raises
    ------
    SlideError
        Where the table has no numbers for it.
    """
    if not np.isfinite([row.dz, row.angle_xz_deg, row.channel_gain]).all() or row.channel_gain <= 0:
        raise SlideError(
            f"the table has no dz, angle_xz_deg and channel_gain for specimen {row.specimen}, time {row.time}, channel "
            f"{row.channel}; estimate it with --channels fuse"
        )
    return ChannelTransform(row.dz, row.angle_xz_deg)
