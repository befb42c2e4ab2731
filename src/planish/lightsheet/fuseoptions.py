"""`EstimateOptions` and `FuseOptions`: how views are registered, matched and blended."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from planish.errors import OptionError
from planish.lightsheet.blend import BlendOptions
from planish.lightsheet.camera_registration import CameraRegistrationOptions
from planish.lightsheet.channel_registration import ChannelRegistrationOptions
from planish.lightsheet.intensity import CAMERA_SLAB, CHANNEL_SLAB
from planish.lightsheet.mask import MaskOptions
from planish.lightsheet.options import PAIRS, OutputOptions, Pair, Part, check_pairs
from planish.lightsheet.padding import PADDINGS
from planish.lightsheet.surface import SurfaceOptions
from planish.lightsheet.units import CHANNELS


@dataclass(frozen=True, slots=True)
class Transition:
    """Where one view takes over from the other, as the masks of the specimen tell it.

    Attributes
    ----------
    surface : SurfaceOptions
        How two masks become one surface; its axis is the callers' business.
    padding : str
        What is beyond the masks, see `planish.lightsheet.padding.pad`.
    mask : MaskOptions
        How masks are made that no correction saved.
    """

    surface: SurfaceOptions = field(default_factory=SurfaceOptions)
    padding: str = "none"
    mask: MaskOptions = field(default_factory=MaskOptions)

    def __post_init__(self) -> None:
        if self.padding not in PADDINGS:
            raise OptionError(f"a surface has no padding {self.padding!r}; use {', '.join(PADDINGS)}")

    def along(self, axis: str) -> SurfaceOptions:
        """Return the surface's options for cameras (``"z"``) or channels (``"x"``)."""
        return replace(self.surface, axis=axis)


@dataclass(frozen=True, slots=True)
class EstimateOptions:
    """How views are registered and matched.

    Attributes
    ----------
    part : Part
        Of the data set.
    pairs : tuple of (int, int)
        Cameras that face each other.
    channels : str
        ``"separate"`` or ``"fuse"``.
    camera, channel
        How these are registered.
    camera_slab, channel_slab : int
        Planes, and pixels, either side of the transition in which brightness is compared.
    transition : Transition
        Where it is.
    front : int
        Which camera is sharp at low z: 0 the first, 1 the second.
    overwrite : bool
        Estimate anew what the table has.
    jobs : int or None
        Threads.
    """

    part: Part = field(default_factory=Part)
    pairs: tuple[Pair, ...] = PAIRS
    channels: str = "separate"
    camera: CameraRegistrationOptions = field(default_factory=CameraRegistrationOptions)
    channel: ChannelRegistrationOptions = field(default_factory=ChannelRegistrationOptions)
    camera_slab: int = CAMERA_SLAB
    channel_slab: int = CHANNEL_SLAB
    transition: Transition = field(default_factory=Transition)
    front: int = 0
    overwrite: bool = False
    jobs: int | None = None

    def __post_init__(self) -> None:
        check_pairs(self.pairs)
        if self.channels not in CHANNELS:
            raise OptionError(f"channels are {' or '.join(CHANNELS)}, not {self.channels!r}")
        if min(self.camera_slab, self.channel_slab) < 1:
            raise OptionError("brightness is compared in slabs of 1 or more either side of the transition")


@dataclass(frozen=True, slots=True)
class FuseOptions:
    """How registered views become one volume.

    Attributes
    ----------
    part, pairs, channels, transition
        As in `EstimateOptions`.
    camera, channel : BlendOptions
        How cameras blend along z, and light sheets along x.
    output : OutputOptions
        How it is written.
    """

    part: Part = field(default_factory=Part)
    pairs: tuple[Pair, ...] = PAIRS
    channels: str = "separate"
    camera: BlendOptions = field(default_factory=BlendOptions)
    channel: BlendOptions = field(default_factory=lambda: BlendOptions(axis="x"))
    transition: Transition = field(default_factory=Transition)
    output: OutputOptions = field(default_factory=OutputOptions)

    def __post_init__(self) -> None:
        check_pairs(self.pairs)
        if (self.camera.axis, self.channel.axis) != ("z", "x"):
            raise OptionError("cameras blend along z, and light sheets along x")
