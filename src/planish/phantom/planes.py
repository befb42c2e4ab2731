"""The order of planes in a file, and the z that tells the truth about it."""

from __future__ import annotations

import numpy as np

from planish.model import Plane
from planish.slide.base import Slide


def file_order(slide: Slide, seed: int | None) -> list[Plane]:
    """Return the planes in the order in which the file is to hold them.

    Shuffled, three planes or more never stand in physical order. Planes without z are left in order.
    """
    planes = list(slide.planes)
    if seed is None or any(plane.z_um is None for plane in planes):
        return planes
    random = np.random.default_rng(seed)
    order = random.permutation(len(planes))
    while len(planes) > 2 and (np.diff(order) > 0).all():
        order = random.permutation(len(planes))
    return [planes[index] for index in order]


def spacing_um(slide: Slide) -> float | None:
    """Return the usual distance between neighbouring planes in µm, None where z is unknown or there is one plane."""
    z = [plane.z_um for plane in slide.planes if plane.z_um is not None]
    return float(np.median(np.diff(z))) if len(z) > 1 else None
