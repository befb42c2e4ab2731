"""`Soft` and `Pick`: planes blended, or picked, by the energy of their Laplacian."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np

from planish.errors import OptionError
from planish.fuse.backend import Array, Backend, gaussian_radius
from planish.fuse.blur import Blur, check_blur
from planish.fuse.checks import flag, positive, sigma_of_blur
from planish.fuse.method import Fused, Method, Window, take_sharpest
from planish.fuse.planes import Planes
from planish.fuse.prior import Prior
from planish.fuse.tiles import sample_windows


@dataclass(frozen=True, kw_only=True)
class Energy(Method):
    """What both share: the measure m = G_σ((∇² G_σ0 I)²) of every pixel and plane, in (grey levels)².

    Attributes
    ----------
    sigma : float
        Standard deviation of the window in which the energy is averaged, above 0, at most 1000 px.
    fine_sigma : float
        σ0 of the blur before the Laplacian, above 0, at most 1000 px: keeps noise from passing for detail.
    decimation : int
        1, or 2, 4 or 8 to average the energy at a fraction of the size: see `planish.fuse.blur.Blur`.
    """

    visits: ClassVar[int] = 1
    has_depth: ClassVar[bool] = True

    sigma: float = 4.0
    fine_sigma: float = 1.0
    decimation: int = 1

    def __post_init__(self) -> None:
        sigma_of_blur("sigma", self.sigma)
        sigma_of_blur("fine_sigma", self.fine_sigma)
        self.blur  # noqa: B018 - checks the decimation

    @property
    def blur(self) -> Blur:
        """The window in which the energy is averaged."""
        return Blur(self.sigma, self.decimation)

    @property
    def margin(self) -> int:
        """Both blurs and the Laplacian."""
        return self.blur.reach + gaussian_radius(self.fine_sigma) + 1

    @property
    def align(self) -> int:
        """Blocks are the same in every tile."""
        return self.decimation

    def measure(self, pixels: Array, backend: Backend) -> Array:
        """Return the measure of one plane's pixels, (height, width) float32."""
        edges = backend.laplacian(backend.gaussian(backend.grey(pixels), self.fine_sigma))
        edges *= edges
        return self.blur.of(edges, backend)


@dataclass(frozen=True, kw_only=True)
class Pick(Energy):
    """Every pixel from the plane with the largest Laplacian energy m = G_σ((∇² G_σ0 I)²), of equal ones the lowest.

    Its attributes are those of `Energy`.
    """

    name: ClassVar[str] = "pick"

    @property
    def float_planes(self) -> float:
        """The best measure, and a plane's own while it is made."""
        return 4

    def fuse(self, window: Window) -> Fused:
        """Visit each plane once."""
        return take_sharpest(window, self.measure)


@dataclass(frozen=True, kw_only=True)
class Soft(Energy):
    """The mean of all planes, weighted by (m / max m)^q; m is the Laplacian energy G_σ((∇² G_σ0 I)²).

    Attributes
    ----------
    sigma, fine_sigma, decimation
        As of `Energy`.
    power : float
        q; large ones come near to `Pick`.
    prior : Prior or None
        Planes expected from elsewhere; m becomes m + κ·N·h, so that they win where there is nothing to see.
    depth : bool
        Whether to give the weighted mean plane of each pixel, too; takes a float image more.

    Notes
    -----
    It mixes planes, so its pixels have no single source. Where no plane shows any detail, to the last bit, all weigh
    the same.
    """

    name: ClassVar[str] = "soft"

    power: float = 4.0
    prior: Prior | None = None
    depth: bool = False

    def __post_init__(self) -> None:
        Energy.__post_init__(self)
        positive("power", self.power)
        flag("depth", self.depth)
        if self.prior is None:
            return
        if not isinstance(self.prior, Prior):
            raise OptionError(f"prior: of {type(self.prior).__name__}; needed is a planish.fuse.prior.Prior")
        check_blur("prior sigma", self.prior.sigma, self.decimation)

    @property
    def float_planes(self) -> float:
        """The sums and weights, and a plane's own measure while it is made; of a prior its map and its blur, too."""
        return 6 + (1 if self.depth else 0) + (2 if self.prior else 0)

    @property
    def map_bytes(self) -> int:
        """Of the depth, where it is asked for."""
        return 4 if self.depth else 0

    @property
    def margin(self) -> int:
        """As of the measure, or of the prior if that reaches further."""
        return max(super().margin, self.prior.margin if self.prior else 0)

    def check(self, planes: Planes) -> None:
        """Check the prior, too."""
        Energy.check(self, planes)
        if self.prior:
            count, height, width, _ = planes.shape
            self.prior.check(count, width, height)

    def at(self, downsample_x: float, downsample_y: float) -> Self:
        """Shrink the cells of the prior with the level."""
        return replace(self, prior=self.prior.at(downsample_x, downsample_y)) if self.prior else self

    def prepare(self, planes: Planes, backend: Backend) -> Self:
        """Estimate the noise of the measure, where a prior is weighed against it."""
        if self.prior is None or self.prior.noise is not None:
            return self
        return replace(self, prior=replace(self.prior, noise=self.noise(planes, backend)))

    def noise(self, planes: Planes, backend: Backend) -> float:
        """Return N: the 20th percentile over pixels of the least measure of any plane.

        Of the median over planes, as is also proposed, texture that is sharp all over makes noise.

        Up to 16 samples of 256 × 256 px, evenly spread, stand for the image. Pixels at which a measure is 0 count for
        nothing, as glass that is clipped to white; where there are no others, N is 1.
        """
        least = []
        for box in sample_windows(planes):
            window = Window(planes, box, backend)
            stack = [backend.get(self.measure(pixels, backend)[::4, ::4]) for _, pixels in window.read()]
            least.append(np.min(stack, axis=0).ravel())
        measured = np.concatenate(least)
        measured = measured[measured > 0]
        return float(np.percentile(measured, 20)) if measured.size else 1.0

    def fuse(self, window: Window) -> Fused:
        """Visit each plane once."""
        backend, (height, width, channels) = window.backend, window.shape
        blend = backend.blend(height, width, channels, window.planes.dtype, self.power, depth=self.depth)
        expected = backend.put(self.prior.read(window.box)) if self.prior else None
        for plane, pixels in window.read():
            measure = self.measure(pixels, backend)
            expectation = self.prior.expectation(expected, plane, backend, self.decimation) if self.prior else None
            if expectation is not None:
                measure += expectation
            blend.add(measure, pixels, plane)
            del measure, expectation  # before the next plane is measured
        return Fused(blend.image(), depth=blend.depth())
