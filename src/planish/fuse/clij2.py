"""`Clij2`: the extended depth of focus of CLIJ2, pixel by pixel the same, or decimated and fast."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import ClassVar

from planish.errors import OptionError
from planish.fuse.backend import Array, Backend, gaussian_radius
from planish.fuse.method import Fused, Method, Window, padded, positive


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
        Standard deviation of the blur, in pixels; 0 for none. The default is KINTSUGI's; CLIJ2's own is 10.
    decimation : int
        1 computes exactly. 2, 4 or 8 blur the variances at a half, a quarter or an eighth of the size, then enlarge.

    Notes
    -----
    Measured against pyclesperanto-prototype 0.24 on OpenCL: equal at every pixel with ``decimation=1``. The blur has
    ``int(8 σ)`` taps, made odd. Decimated, it has the standard deviation √(σ² − (D² − 1)/12 − D²/6)/D: the block means
    and the enlargement blur, too.
    """

    name: ClassVar[str] = "clij2"
    visits: ClassVar[int] = 1
    float_planes: ClassVar[int] = 4

    radius: float | tuple[float, float] = 5
    sigma: float = 20
    decimation: int = 1

    def __post_init__(self) -> None:
        radii = self.radii
        for value in radii:
            positive("radius", value)
        if max(radii) < 1:
            raise OptionError(f"radius={self.radius!r}: an ellipse of one pixel has no variance; at least 1 is needed")
        positive("sigma", self.sigma, zero=True)
        if not isinstance(self.decimation, int) or self.decimation not in (1, 2, 4, 8):
            raise OptionError(f"decimation={self.decimation!r}: choose 1 (exact), 2, 4 or 8")
        if self.decimation > 1 and self.sigma**2 <= self._own_blur:
            raise OptionError(
                f"decimation={self.decimation}: blurs more than sigma={self.sigma} does; choose sigma above "
                f"{sqrt(self._own_blur):.1f}, or decimation=1"
            )

    @property
    def radii(self) -> tuple[float, float]:
        """Radii of the ellipse along x and y, in pixels."""
        if isinstance(self.radius, tuple | list):
            if len(self.radius) != 2:
                raise OptionError(f"radius={self.radius!r}: needs one number, or two: (rx, ry)")
            return self.radius[0], self.radius[1]
        return self.radius, self.radius

    @property
    def _own_blur(self) -> float:
        """Variance that averaging blocks and enlarging them adds, in pixels²."""
        return (self.decimation**2 - 1) / 12 + self.decimation**2 / 6

    @property
    def _small_sigma(self) -> float:
        """Standard deviation of the blur in decimated pixels."""
        return sqrt(self.sigma**2 - self._own_blur) / self.decimation if self.decimation > 1 else self.sigma

    @property
    def margin(self) -> int:
        """Radius + 4σ; decimated, two blocks more."""
        reach = int(max(self.radii))
        if self.decimation == 1:
            return reach + gaussian_radius(self.sigma)
        return reach + (gaussian_radius(self._small_sigma) + 2) * self.decimation

    @property
    def align(self) -> int:
        """Blocks are the same in every tile."""
        return self.decimation

    @property
    def windows(self) -> dict[str, int]:
        """The ellipse's larger diameter."""
        return {"radius": 2 * int(max(self.radii)) + 1}

    def fuse(self, window: Window) -> Fused:
        """Visit each plane once, holding the best measure and one plane's own."""
        height, width, channels = window.shape
        best = window.backend.sharpest(height, width, channels, window.planes.dtype)
        for plane, pixels in window.read():
            best.add(self._measure(pixels, window.backend), pixels, plane)
        return Fused(best.image, best.index)

    def _measure(self, pixels: Array, backend: Backend) -> Array:
        image = pixels[..., 0] if pixels.shape[2] == 1 else backend.grey(pixels)
        measure = backend.variance(image, *self.radii)
        if self.decimation == 1:
            return backend.gaussian(measure, self.sigma) if gaussian_radius(self.sigma) else measure
        small = backend.shrink(padded(measure, self.decimation, backend), self.decimation)
        grown = backend.grow(backend.gaussian(small, self._small_sigma), self.decimation)
        return grown[: image.shape[0], : image.shape[1]]
