"""`CorrectOptions`: how raw volumes are corrected."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from planish.errors import OptionError
from planish.lightsheet.background import DARK_PERCENTILE
from planish.lightsheet.badpixels import BadPixelOptions
from planish.lightsheet.lazyvolume import Voxel
from planish.lightsheet.mask import MaskOptions
from planish.lightsheet.options import PAIRS, OutputOptions, Pair, Part, check_pairs
from planish.lightsheet.orientation import Orientation

Crop = tuple[int, int, int, int, int, int]


@dataclass(frozen=True, slots=True)
class BackgroundOptions:
    """What is taken off.

    Attributes
    ----------
    dark_percentile : float
        Of a camera's dark frame, where there is one.
    percentile : float
        Of the volume's voxels that are not zero, where there is none.
    step : int
        Every how many of these voxels one is looked at.
    """

    dark_percentile: float = DARK_PERCENTILE
    percentile: float = 5.0
    step: int = 100


@dataclass(frozen=True, slots=True)
class CorrectOptions:
    """How raw volumes are corrected.

    Attributes
    ----------
    part : Part
        Of the data set.
    size : (width, height) or None
        px of raw planes, where no XML tells it.
    voxel_um : (z, y, x) or None
        Steps, where no XML tells them.
    pairs : tuple of (int, int)
        Cameras that face each other.
    crops : Mapping of int
        (z0, z1, y0, y1, x0, x1) by camera, before anything is turned.
    rotation : int
        Quarter turns clockwise of the second camera of each pair: −1, 0 or 1.
    flip_x, flip_y : bool
        Whether the second camera of each pair is mirrored.
    bad_pixels : BadPixelOptions or None
        How hot and dead pixels are told, which are then replaced; None leaves them.
    background : BackgroundOptions
        What is taken off.
    mask : MaskOptions
        How the specimen is told from its background, and what is done with it.
    apply_mask : bool
        Whether all outside of the mask becomes 0.
    output : OutputOptions
        How it is written.
    """

    part: Part = field(default_factory=Part)
    size: tuple[int, int] | None = None
    voxel_um: Voxel | None = None
    pairs: tuple[Pair, ...] = PAIRS
    crops: Mapping[int, Crop] = field(default_factory=dict)
    rotation: int = 0
    flip_x: bool = True
    flip_y: bool = False
    bad_pixels: BadPixelOptions | None = field(default_factory=BadPixelOptions)
    background: BackgroundOptions = field(default_factory=BackgroundOptions)
    mask: MaskOptions = field(default_factory=MaskOptions)
    apply_mask: bool = False
    output: OutputOptions = field(default_factory=OutputOptions)

    def __post_init__(self) -> None:
        check_pairs(self.pairs)
        if self.apply_mask and self.mask.mode not in ("mask", "global"):
            raise OptionError(f"mask mode {self.mask.mode} leaves nothing to apply a mask to; use mask or global")
        for camera in {*self.crops, *(camera for pair in self.pairs for camera in pair)}:
            self.orientation(camera)

    def orientation(self, camera: int) -> Orientation:
        """Return how a camera's volumes are cropped and turned."""
        crop = self.crops.get(camera)
        if camera in {second for _, second in self.pairs}:
            return Orientation(crop, self.rotation, self.flip_x, self.flip_y)
        return Orientation(crop)
