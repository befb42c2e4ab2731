"""`Clij2`: the extended depth of focus of CLIJ2, pixel by pixel the same, or decimated and fast."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np

from planish.errors import OptionError
from planish.fuse.backend import Array, Backend
from planish.fuse.blur import Blur
from planish.fuse.checks import positive, within
from planish.fuse.method import Fused, Method, Window, take_sharpest
from planish.fuse.planes import LARGEST_FLOAT, Planes
from planish.fuse.tiles import sample_windows


@dataclass(frozen=True, kw_only=True)
class Clij2(Method):
    """``extendedDepthOfFocusVarianceProjection`` of CLIJ2.

    Each plane's variance over an ellipse is blurred; every pixel comes from the plane where that is largest, of equal
    ones the lowest. Colour planes are measured on their luma.

    Attributes
    ----------
    radius : float or tuple of float
        Of the ellipse, in pixels: one number, or (rx, ry). The default is KINTSUGI's; CLIJ2's own is 2.
    sigma : float
        Standard deviation of the blur, 0 … 1000 px; 0 for none. The default is KINTSUGI's; CLIJ2's own is 10.
    decimation : int
        1 computes exactly. 2, 4 or 8 blur the variances at a fraction of the size: see `planish.fuse.blur.Blur`.
    about : float or None
        Grey level that is subtracted before variances are summed in float32, where they are decimated: the mean of the
        planes, or near to it. It matters for rounding only; None to estimate it from the planes.

    Notes
    -----
    Measured against pyclesperanto-prototype on OpenCL: equal at every pixel with ``decimation=1``. The blur has
    ``int(8 σ)`` taps, made odd.
    """

    name: ClassVar[str] = "clij2"
    visits: ClassVar[int] = 1
    has_depth: ClassVar[bool] = True

    radius: float | tuple[float, float] = 5
    sigma: float = 20
    decimation: int = 1
    about: float | None = None

    def __post_init__(self) -> None:
        radii = self.radii
        for value in radii:
            positive("radius", value)
        if max(radii) < 1:
            raise OptionError(f"radius={self.radius!r}: an ellipse of one pixel has no variance; at least 1 is needed")
        self.blur  # noqa: B018 - checks sigma and decimation
        if self.about is not None:
            within("about", self.about, -LARGEST_FLOAT, LARGEST_FLOAT)

    @property
    def float_planes(self) -> float:
        """The best measure, and a plane's own while it is made."""
        return 4

    @property
    def radii(self) -> tuple[float, float]:
        """Radii of the ellipse along x and y, in pixels."""
        if isinstance(self.radius, tuple | list):
            if len(self.radius) != 2:
                raise OptionError(f"radius={self.radius!r}: needs one number, or two: (rx, ry)")
            return self.radius[0], self.radius[1]
        return self.radius, self.radius

    @property
    def blur(self) -> Blur:
        """The blur of the variances."""
        return Blur(self.sigma, self.decimation)

    @property
    def margin(self) -> int:
        """Radius + 4σ; decimated, two blocks more."""
        return int(max(self.radii)) + self.blur.reach

    @property
    def align(self) -> int:
        """Blocks are the same in every tile."""
        return self.decimation

    @property
    def windows(self) -> dict[str, tuple[int, int]]:
        """The ellipse's diameters."""
        across, down = self.radii
        return {"radius": (2 * int(across) + 1, 2 * int(down) + 1)}

    def prepare(self, planes: Planes, backend: Backend) -> Self:
        """Estimate the mean grey level, where it is needed: of up to 16 samples of 64 × 64 px of three planes."""
        if self.decimation == 1 or self.about is not None:
            return self
        last, boxes = planes.shape[0] - 1, sample_windows(planes, size=64)
        greys = [
            backend.get(backend.grey(backend.put(planes.read(plane, box))))
            for plane in sorted({0, last // 2, last})
            for box in boxes
        ]
        mean = float(np.mean([np.mean(grey, dtype=np.float64) for grey in greys]))
        # A whole number, so that nothing is rounded when it is subtracted from others.
        return replace(self, about=float(round(mean)) if planes.dtype.kind in "ui" else mean)

    def fuse(self, window: Window) -> Fused:
        """Visit each plane once."""
        return take_sharpest(window, self._measure)

    def _measure(self, pixels: Array, backend: Backend) -> Array:
        image = pixels[..., 0] if pixels.shape[2] == 1 else backend.grey(pixels)
        about = self.about if self.decimation > 1 else None
        return self.blur.of(backend.variance(image, *self.radii, about=about), backend)
