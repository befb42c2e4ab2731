"""The axis that two volumes blend along."""

from __future__ import annotations

from planish.errors import OptionError

AXES = ("z", "x")
"""Cameras look along z: their surface is (Y, X), in planes. Light sheets, and with them channels, come along x: (Y, Z),
in pixels."""


def check_axis(axis: str, front: int = 0) -> None:
    """Raise OptionError for another axis, or another view in front than 0, the first one, or 1."""
    if axis not in AXES:
        raise OptionError(f"volumes blend along z (cameras) or x (light sheets), not {axis!r}")
    if front not in (0, 1):
        raise OptionError(f"the view in front is 0 or 1, not {front}")
