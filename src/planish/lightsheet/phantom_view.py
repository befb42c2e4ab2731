"""What one camera of a made microscope sees of points, by formula: in its own frame, blurred and dimmed by depth."""

from __future__ import annotations

from dataclasses import dataclass
from math import cos, radians, sin

import numpy as np
from numpy.typing import NDArray

from planish.lightsheet.phantom_options import PhantomOptions
from planish.lightsheet.phantom_points import Points, Sight, draw, near_planes

_SPREADING = 1.5
"""The power of the depth with which light that is scattered by small angles strays sideways (Fermi and Eyges)."""


def crossover(options: PhantomOptions) -> NDArray[np.float64]:
    """Return the z, in planes, of every column x where both cameras are equally deep: (X,)."""
    planes, _, width = options.shape
    across = np.arange(width) / max(width - 1, 1) - 0.5
    return (planes - 1) / 2 + options.tilt * across


@dataclass(frozen=True, eq=False)
class View:
    """One camera and channel.

    The blur of a plane is that of its depth below the camera's side of the specimen, as light from the lit plane alone
    reaches the camera. Turning in the x-z plane moves a Gaussian, and does not turn it: below 2° no pixel would notice.
    """

    options: PhantomOptions
    camera: int
    channel: int = 0

    def render(self, points: Points) -> NDArray[np.float32]:
        """Draw the points as this camera sees them before its flip: (Z, Y, X), in counts above the offset."""
        volume = np.zeros(self.options.shape, np.float32)
        x, y, z = self._seen_at(points)
        light = points.peak * self._brightness(points)
        for index in range(len(points)):
            planes = near_planes(z[index], points.sigma_z[index], len(volume))
            # How deep light comes from is told by the point's own place, not by where the camera shows it.
            depths = planes - (z[index] - points.z[index])
            sigma, dimming = self._through(depths, points.x[index], points.sigma[index])
            slice_of_it = np.exp(-0.5 * ((planes - z[index]) / points.sigma_z[index]) ** 2)
            peak = light[index] * dimming * slice_of_it
            draw(volume, Sight(x[index], y[index], int(planes[0]) if len(planes) else 0, sigma, peak))
        return volume

    def _seen_at(self, points: Points) -> tuple[NDArray[np.float64], ...]:
        planes, height, width = self.options.shape
        middle_x, middle_y, middle_z = (width - 1) / 2, (height - 1) / 2, (planes - 1) / 2
        x, y, z = points.x - middle_x, points.y - middle_y, points.z - middle_z
        second = self.options.second_channel
        if self.channel and second is not None:
            ratio = self.options.voxel_um[0] / self.options.voxel_um[2]
            x, z = _turned(x, z * ratio, second.angle_deg)
            z = z / ratio + second.dz
        if self.camera:
            x, y = _turned(x, y, self.options.angle_deg)
            x, y = x + self.options.dx, y + self.options.dy
        return x + middle_x, y + middle_y, z + middle_z

    def _brightness(self, points: Points) -> NDArray[np.float64]:
        light = np.full(len(points), self.options.gain if self.camera else 1.0)
        second = self.options.second_channel
        if second is None:
            return light
        way = points.x / self.options.shape[2]
        light *= np.exp(-second.loss * (1 - way if self.channel else way))
        if self.channel:
            generator = np.random.default_rng((self.options.seed, 7))
            light *= second.gain * (1 + second.reweight * generator.uniform(-1, 1, len(points)))
        return light

    def _through(
        self, depths: NDArray[np.float64], x: float, sigma: float
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return a point's sigma at each depth, in planes, and the share of its peak that is left there."""
        depth, width = self.options.shape[0], self.options.shape[2]
        rise = self.options.tilt * (x / max(width - 1, 1) - 0.5)
        beyond = (depths - (depth - 1) / 2 - rise) / depth
        share = np.clip(0.5 - beyond if self.camera else 0.5 + beyond, 0, None)
        wide = np.hypot(sigma, self.options.blur * share**_SPREADING)
        return wide, np.exp(-self.options.loss * share) * (sigma / wide) ** 2


def _turned(
    first: NDArray[np.float64], second: NDArray[np.float64], angle_deg: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    c, s = cos(radians(angle_deg)), sin(radians(angle_deg))
    return c * first - s * second, s * first + c * second
