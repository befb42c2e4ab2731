"""What the web side knows of a slide: its size, how it is cut, and which plane is meant by a piece of an address."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from planish.jsonfields import numbers, whole
from planish.serve.responses import Problem
from planish.serve.wanted import Refused

BEST = -1
"""The plane of `planish.serve.wanted.Subject` that is put together of all."""
HIDDEN = ("label", "macro")
"""Associated images that can show names."""
_INDEX = re.compile(r"0|[1-9][0-9]{0,5}")
_Z = re.compile(r"z=(-?[0-9]{1,9}(?:\.[0-9]{1,9})?)")
_LONE_UM = 0.5
"""How far from the only plane of a slide a z may be."""


def plane_number(text: str) -> int | None:
    """Return the plane that an index or ``best`` names; None for a z, which needs the facts.

    Raises
    ------
    Problem
        Where it is neither.
    """
    if text == "best":
        return BEST
    if _INDEX.fullmatch(text):
        return int(text)
    if _Z.fullmatch(text):
        return None
    raise Problem(404, "no such plane; planes are 0, 1, 2 …, z= with a number of µm such as z=1.5, or best")


@dataclass(frozen=True, slots=True)
class SlideFacts:
    """Of a slide, out of a decoder.

    Attributes
    ----------
    width, height : int
        Full size, px.
    tile : int
        Edge of a tile, px.
    levels : int
        Of Deep Zoom.
    zooms : int
        Of XYZ, beside zoom 0.
    z_um : tuple of (float or None)
        Of the planes, lowest first.
    associated : tuple of str
        Names of its other images.
    told : mapping
        All that the decoder told.
    """

    width: int
    height: int
    tile: int
    levels: int
    zooms: int
    z_um: tuple[float | None, ...]
    associated: tuple[str, ...]
    told: Mapping[str, Any]

    @classmethod
    def from_json(cls, body: bytes) -> Self:
        """Return what a decoder told.

        Raises
        ------
        Refused
            Where that is nonsense: decoders are not trusted.
        """
        try:
            told = json.loads(body)
            width, height, tile, levels = (whole(told["dzi"], key) for key in ("width", "height", "tile", "levels"))
            if min(width, height, tile, levels) < 1:
                raise ValueError("sizes below 1")
            z_um = numbers([plane["z_um"] for plane in told["planes"]], "planes")
            zooms, names = whole(told["xyz"], "most"), tuple(map(str, told["associated"]))
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise Refused("unreadable", "what was read of the slide makes no sense; export it again") from error
        return cls(width, height, tile, levels, zooms, z_um, names, told)

    @property
    def middle(self) -> int:
        """The plane that stands for the slide where none is named."""
        return len(self.z_um) // 2

    def plane(self, text: str) -> int:
        """Return the plane that a piece of an address names.

        Raises
        ------
        Problem
            Where there is none such.
        """
        number = plane_number(text)
        if number is None:
            return self._at(float(text.removeprefix("z=")))
        if number >= len(self.z_um):
            raise Problem(404, f"plane {number} is not there; {self._range()}")
        return number

    def level_of_zoom(self, zoom: int) -> int:
        """Return the Deep Zoom level of an XYZ zoom."""
        if zoom > self.zooms:
            raise Problem(404, f"zoom {zoom} is not there; the slide has zooms 0 to {self.zooms}")
        return self.levels - 1 - self.zooms + zoom

    def _at(self, z_um: float) -> int:
        known = [z for z in self.z_um if z is not None]
        if len(known) < len(self.z_um):
            raise Problem(404, f"the z of its planes is not known; {self._range()}")
        below = (known[1] - known[0]) / 2 if len(known) > 1 else _LONE_UM
        above = (known[-1] - known[-2]) / 2 if len(known) > 1 else _LONE_UM
        if not known[0] - below <= z_um <= known[-1] + above:
            raise Problem(404, f"no plane lies at z={z_um:g} µm; {self._range()}")
        return min(range(len(known)), key=lambda index: abs(known[index] - z_um))

    def _range(self) -> str:
        last, z = len(self.z_um) - 1, [z for z in self.z_um if z is not None]
        heights = f" and z={min(z):g} to z={max(z):g} µm" if len(z) == len(self.z_um) else ""
        return f"the slide has planes 0 to {last}{heights}, and best"
