"""What a made light-sheet specimen and its two cameras are like."""

from __future__ import annotations

from dataclasses import dataclass, field

from planish.errors import OptionError


@dataclass(frozen=True)
class Sensor:
    """A camera's chip.

    Attributes
    ----------
    offset : float
        Counts of a pixel that sees nothing.
    read_noise : float
        Standard deviation of every reading, in counts.
    hot : float
        The share of the pixels that are hot: 300 to 3000 counts too bright in every plane.
    shot_noise : bool
        Whether light comes in photons, one per count.
    """

    offset: float = 100.0
    read_noise: float = 1.6
    hot: float = 0.002
    shot_noise: bool = True


@dataclass(frozen=True)
class SecondChannel:
    """The second light sheet: from the other side along x, a bit beside and askew.

    Attributes
    ----------
    dz : float
        Planes by which it sees things deeper in the stack.
    angle_deg : float
        Its turn in the x-z plane, in degrees, as `ChannelTransform` has it.
    gain : float
        Its brightness, of the first channel's.
    loss : float
        Light falls to exp(-loss) over the width, in the first channel from left to right, in the second back.
    reweight : float
        How much the points' brightness differs between the channels, as a share of it: 0 for not at all.
    """

    dz: float = 0.0
    angle_deg: float = 0.0
    gain: float = 1.0
    loss: float = 0.7
    reweight: float = 0.3


@dataclass(frozen=True)
class PhantomOptions:
    """A specimen and the two cameras that look at it from opposite sides.

    Attributes
    ----------
    seed : int
        Of everything random.
    shape : tuple of int
        (Z, Y, X).
    dx, dy, angle_deg : float
        What the second camera sees of a point at p: c + R(angle)·(p - c) + (dx, dy), before its flip, with c the
        frame's middle; the numbers that registration has to find.
    gain : float
        Brightness of the second camera, of the first one's.
    flip_x, flip_y : bool
        Whether the second camera's frame is mirrored left to right, top to bottom.
    blur : float
        Sigma in pixels that the whole depth adds to what is on the far side; 8 for the doubled blur.
    loss : float
        Light falls to exp(-loss) over the whole depth.
    tilt : float
        Planes by which the surface of equal depth, where the cameras cross over, rises from the left edge to the right.
    voxel_um : tuple of float
        (z, y, x).
    sensor : Sensor
        The cameras' chips.
    second_channel : SecondChannel or None
        None for one channel.
    frame_seed : int
        Of what differs from time point to time point: the noise.
    """

    seed: int = 0
    shape: tuple[int, int, int] = (64, 256, 256)
    dx: float = 12.4
    dy: float = -7.3
    angle_deg: float = 0.6
    gain: float = 0.7
    flip_x: bool = True
    flip_y: bool = False
    blur: float = 4.0
    loss: float = 0.7
    tilt: float = 0.0
    voxel_um: tuple[float, float, float] = (1.0, 0.40625, 0.40625)
    sensor: Sensor = field(default_factory=Sensor)
    second_channel: SecondChannel | None = None
    frame_seed: int = 0

    def __post_init__(self) -> None:
        if len(self.shape) != 3 or min(self.shape) < 1:
            raise OptionError(f"a phantom's shape is (planes, height, width), each at least 1, not {self.shape}")
        if self.gain <= 0:
            raise OptionError(f"the second camera's gain is above 0, not {self.gain}")

    @property
    def channels(self) -> tuple[int, ...]:
        """The channels' numbers."""
        return (0,) if self.second_channel is None else (0, 1)
