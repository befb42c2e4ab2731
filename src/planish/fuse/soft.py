"""`Soft` and `Pick`: planes weighted, or picked, by the energy of their Laplacian."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from planish.fuse.backend import Array, Backend, gaussian_radius
from planish.fuse.method import Fused, Method, Window, positive


@dataclass(frozen=True, kw_only=True)
class Pick(Method):
    """Every pixel from the plane with the largest Laplacian energy m = G_σ((∇² G_σ0 I)²), of equal ones the lowest.

    Attributes
    ----------
    sigma : float
        Over which the energy is averaged: standard deviation in pixels.
    fine_sigma : float
        σ0 of the blur before the Laplacian, in pixels: keeps noise from passing for detail.
    """

    name: ClassVar[str] = "pick"
    visits: ClassVar[int] = 1
    float_planes: ClassVar[int] = 5

    sigma: float = 4.0
    fine_sigma: float = 1.0

    def __post_init__(self) -> None:
        positive("sigma", self.sigma)
        positive("fine_sigma", self.fine_sigma)

    @property
    def margin(self) -> int:
        """Both blurs and the Laplacian."""
        return gaussian_radius(self.sigma) + gaussian_radius(self.fine_sigma) + 1

    def fuse(self, window: Window) -> Fused:
        """Visit each plane once."""
        height, width, channels = window.shape
        best = window.backend.sharpest(height, width, channels, window.planes.dtype)
        for plane, pixels in window.read():
            best.add(self.measure(pixels, window.backend), pixels, plane)
        return Fused(best.image, best.index)

    def measure(self, pixels: Array, backend: Backend) -> Array:
        """Return m of a plane's pixels, (height, width) float32, in (grey levels)²."""
        edges = backend.laplacian(backend.gaussian(backend.grey(pixels), self.fine_sigma))
        edges *= edges
        return backend.gaussian(edges, self.sigma)
