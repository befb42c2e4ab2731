"""A made time series: cameras that drift slowly, jump at times, and miss time points."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from planish.lightsheet.phantom import TwoCameraPhantom
from planish.lightsheet.phantom_options import PhantomOptions


@dataclass(frozen=True)
class SeriesPhantomOptions:
    """How the second camera's parameters go over time.

    Attributes
    ----------
    phantom : PhantomOptions
        The first time point.
    times : int
        How many time points.
    drift_px, drift_deg : float
        How far dx and dy, and the angle, wander in all: a bent, smooth way.
    jitter_px, jitter_deg : float
        Standard deviation of what is added at random to each time point.
    outliers : float
        The share of the time points that are thrown off, by 10 to 20 px and 1°.
    missing : tuple of int
        Time points that are not written.
    """

    phantom: PhantomOptions = field(default_factory=PhantomOptions)
    times: int = 100
    drift_px: float = 4.0
    drift_deg: float = 0.3
    jitter_px: float = 0.05
    jitter_deg: float = 0.005
    outliers: float = 0.1
    missing: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False)
class Course:
    """dx, dy and angle in degrees of each time point: (times, 3), or which of them are thrown off: (times,)."""

    smooth: NDArray[np.float64]
    seen: NDArray[np.float64]
    outlier: NDArray[np.bool_]


class PhantomSeries:
    """One specimen at many time points, each a `TwoCameraPhantom`."""

    def __init__(self, options: SeriesPhantomOptions | None = None) -> None:
        self.options = options or SeriesPhantomOptions()

    @cached_property
    def course(self) -> Course:
        """The true way of the parameters, the one that each time point has, and which are outliers."""
        options = self.options
        generator = np.random.default_rng((options.phantom.seed, 4))
        way = np.linspace(0, 1, options.times)
        bend = np.sin(np.pi * (way[:, None] * (1.0, 1.4, 0.8)) + (0.0, 0.5, 1.0))
        drift = np.array([options.drift_px, options.drift_px, options.drift_deg])
        start = np.array([options.phantom.dx, options.phantom.dy, options.phantom.angle_deg])
        smooth = start + drift * (bend - bend[0])
        jitter = np.array([options.jitter_px, options.jitter_px, options.jitter_deg])
        outlier = generator.random(options.times) < options.outliers
        throw = generator.choice([-1, 1], smooth.shape) * generator.uniform(0.5, 1, smooth.shape) * (20, 20, 1)
        seen = smooth + jitter * generator.normal(size=smooth.shape) + outlier[:, None] * throw
        return Course(smooth, seen, outlier)

    def at(self, time: int) -> TwoCameraPhantom:
        """Return what stands before the cameras at one time point."""
        dx, dy, angle = self.course.seen[time].tolist()
        return TwoCameraPhantom(replace(self.options.phantom, dx=dx, dy=dy, angle_deg=angle, frame_seed=time))

    def write(self, folder: Path | str) -> Path:
        """Write every time point that is not missing as raw data into one folder."""
        for time in range(self.options.times):
            if time not in self.options.missing:
                self.at(time).write(folder, time=time)
        return Path(folder)
