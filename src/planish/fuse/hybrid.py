"""`Hybrid` and `Feather`: options of the methods that copy what they can and touch pixels only where it shows."""

from __future__ import annotations

from dataclasses import dataclass

from planish.fuse.checks import positive, sigma_of_blur, within
from planish.fuse.prior import MOST_WEIGHT


@dataclass(frozen=True, slots=True)
class Hybrid:
    """Copy cells that one plane shows sharply all over, fuse the others, blend borders that would show.

    Attributes
    ----------
    tau : float
        Loss from which a cell is fused, in grey levels of 255: root mean square by which its plane differs from the
        fused picture, both at a quarter of full size, noise taken off.
    enough : float
        Share, 0 to 1, of what fusing all cells would change, as the sum of squared losses: once it is reached, cells
        that lose less are copied, too, but none that lose 2 τ.
    edge : float
        Difference of sharpness between two planes at the border of their cells that shows, in grey levels of 255.
    ramp : int
        Width over which a cell passes into its neighbour's plane, in level-0 pixels.
    sigma, power, prior_weight : float
        Of the fused pixels, see `planish.fuse.soft.Soft`: window in which the energy is averaged (level-0 pixels),
        exponent of the weights, weight of the plane map.
    """

    tau: float = 1.2
    enough: float = 0.84
    edge: float = 1.0
    ramp: int = 16
    sigma: float = 8.0
    power: float = 2.5
    prior_weight: float = 4.0

    def __post_init__(self) -> None:
        positive("tau", self.tau, zero=True)
        within("enough", self.enough, 0, 1)
        positive("edge", self.edge, zero=True)
        positive("ramp", self.ramp)
        positive("power", self.power)
        sigma_of_blur("sigma", self.sigma)
        within("prior_weight", self.prior_weight, 0, MOST_WEIGHT)


@dataclass(frozen=True, slots=True)
class Feather:
    """Each cell from one plane, blended where neighbours have another one.

    Attributes
    ----------
    ramp : int
        Width of the blend, half of it to either side of the border, in level-0 pixels.
    """

    ramp: int = 32

    def __post_init__(self) -> None:
        positive("ramp", self.ramp)


SEAM_METHODS: dict[str, type[Hybrid] | type[Feather]] = {"hybrid": Hybrid, "feather": Feather}
