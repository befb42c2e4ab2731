"""`Clij2`: the extended depth of focus of CLIJ2, pixel by pixel the same, or decimated and fast."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from planish.errors import OptionError
from planish.fuse.backend import Array, Backend
from planish.fuse.blur import Blur
from planish.fuse.method import Fused, Method, Window, positive


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
        1 computes exactly. 2, 4 or 8 blur the variances at a fraction of the size: see `planish.fuse.blur.Blur`.

    Notes
    -----
    Measured against pyclesperanto-prototype on OpenCL: equal at every pixel with ``decimation=1``. The blur has
    ``int(8 σ)`` taps, made odd.
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
        self.blur  # noqa: B018 - checks sigma and decimation

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
        return self.blur.of(backend.variance(image, *self.radii, exact=self.decimation == 1), backend)
