"""What becomes one volume: the cameras of a pair at one time point, in one channel or in those of both light sheets."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from planish.errors import OptionError, SlideError
from planish.lightsheet.names import Fused, Look
from planish.lightsheet.options import Pair
from planish.lightsheet.parameters import Place

CHANNELS = ("separate", "fuse")
"""Channels are colours, each fused by itself; or the light sheets of one colour, which become one volume."""


@dataclass(frozen=True, order=True)
class Unit:
    """Looks that become one volume.

    Attributes
    ----------
    specimen, time : int
        As the files have them.
    cameras : tuple of int
        The pair, or a camera that is alone.
    channels : tuple of int
        One, or the two that are fused.
    """

    specimen: int
    time: int
    cameras: tuple[int, ...]
    channels: tuple[int, ...]

    @property
    def fused(self) -> Fused:
        """What it is called."""
        return Fused(self.specimen, self.time, self.cameras, self.channels[0])

    @property
    def places(self) -> list[Place]:
        """Of its rows in a table, one per channel."""
        second = self.cameras[1] if len(self.cameras) > 1 else -1
        return [(self.specimen, self.cameras[0], second, channel, self.time) for channel in self.channels]

    def look(self, camera: int, channel: int) -> Look:
        """Return one of its looks."""
        return Look(self.specimen, self.time, self.cameras[camera], self.channels[channel])


def find_units(folder: Path, looks: Iterable[Look | Fused], pairs: tuple[Pair, ...], channels: str) -> list[Unit]:
    """Return what can be fused at each time point, sorted.

    Parameters
    ----------
    folder : Path
        For messages.
    looks : iterable of Look
        What there is.
    pairs : tuple of (int, int)
        Cameras that face each other.
    channels : str
        One of `CHANNELS`.

    Raises
    ------
    OptionError
        Where `channels` is another word, or more than two channels are to be fused.
    SlideError
        Where nothing can be fused.
    """
    if channels not in CHANNELS:
        raise OptionError(f"channels are {' or '.join(CHANNELS)}, not {channels!r}")
    there: dict[tuple[int, int], set[tuple[int, int]]] = defaultdict(set)
    for look in looks:
        if isinstance(look, Fused):
            raise SlideError(f"{folder}: holds volumes that are fused already ({look.stem}); name the corrected ones")
        there[look.specimen, look.time].add(look.view)
    cameras = {camera for views in there.values() for camera, _ in views}
    sides = [_side(pair, cameras, channels) for pair in pairs]
    found = [
        Unit(specimen, time, side, each)
        for (specimen, time), views in sorted(there.items())
        for side in sides
        if side
        for each in _channels(views, side, channels)
    ]
    if not found:
        raise SlideError(
            f"{folder}: nothing to fuse: there are cameras {', '.join(map(str, sorted(cameras)))}, and of pairs "
            f"{' and '.join(f'{a},{b}' for a, b in pairs)} no two at one time point; name the pairs that there are "
            "(--pair), or fuse the channels of one camera (--channels fuse)"
        )
    return found


def without_partner(looks: Iterable[Look | Fused], units: Iterable[Unit]) -> list[str]:
    """Return, for people, which looks are in none of the units."""
    used = {
        unit.look(camera, channel)
        for unit in units
        for camera in range(len(unit.cameras))
        for channel in range(len(unit.channels))
    }
    alone = sorted(look.stem for look in looks if look not in used)
    return [f"{len(alone)} volumes have no partner and are not fused: {', '.join(alone)}"] if alone else []


def _side(pair: Pair, cameras: set[int], channels: str) -> tuple[int, ...]:
    """Return the cameras of a pair that the data set has; one alone is of use only where it has channels to fuse."""
    side = tuple(camera for camera in pair if camera in cameras)
    return side if len(side) == 2 or channels == "fuse" else ()


def _channels(views: set[tuple[int, int]], side: tuple[int, ...], channels: str) -> list[tuple[int, ...]]:
    """Return the channels of one time point that all cameras of a side have, as they are fused."""
    seen = sorted({channel for _, channel in views if all((camera, channel) in views for camera in side)})
    if channels == "separate":
        return [(channel,) for channel in seen]
    if len(seen) > 2:
        raise OptionError(f"channels {seen} are more than the two light sheets that fuse; use --channels separate")
    return [tuple(seen)] if len(seen) + len(side) > 2 and seen else []
