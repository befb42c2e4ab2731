"""The pictures of docs/hybrid.md: crops of phantoms, composed in several ways, between one plane and the truth."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import imagecodecs
import numpy as np
from fusion_picture import captioned
from hybrid_case import Flat
from numpy.typing import NDArray
from phantoms import phantom_file

from planish.focus.options import SurveyOptions
from planish.focus.survey import survey
from planish.fuse.decide import decide
from planish.fuse.flat import flatten
from planish.fuse.options import FuseOptions
from planish.phantom.specimen import Kind, PhantomOptions
from planish.slide.base import Slide
from planish.slide.open import open_slide

WAYS = ("select", "feather", "hybrid", "soft")
COLUMNS = 3


@dataclass(frozen=True)
class Crop:
    """A square of a phantom of 9 planes: its corner and side in pixels, and how many times it is enlarged."""

    kind: Kind
    seed: int
    x: int
    y: int
    side: int = 384
    times: int = 1
    size: int = 2048


CROPS = {
    "cluster": Crop("cytology-dense", 0, 1344, 1088),
    "glass": Crop("cytology-sparse", 2, 1664, 1088),
    "debris": Crop("cytology-sparse", 0, 120, 400, side=192, times=2),
}
"""A cluster that the border of two cells cuts, a clump with glass around it, and debris over a cell."""


def picture(crop: Crop) -> NDArray[np.uint8]:
    """Return the crop in all ways, each with its name above."""
    phantom, path = phantom_file(PhantomOptions(crop.kind, crop.size, crop.size, 9, seed=crop.seed))
    box = crop.x, crop.y, crop.side, crop.side
    with open_slide(path) as slide:
        panels = {"one plane, the middle one": slide.read_region(0, 4, *box)}
        panels |= {way: composed(slide, way)[crop.y :, crop.x :][: crop.side, : crop.side] for way in WAYS}
    panels["truth"] = phantom.truth_region(*box)
    shown = [captioned(name, panel.repeat(crop.times, 0).repeat(crop.times, 1)) for name, panel in panels.items()]
    rows = [np.hstack(shown[start : start + COLUMNS]) for start in range(0, len(shown), COLUMNS)]
    return np.vstack(rows)


def composed(slide: Slide, way: str) -> NDArray[np.uint8]:
    """Return level 0 of the file that `planish flatten` writes."""
    options = FuseOptions(way)
    focus = survey(slide, SurveyOptions(ties="bytes" if way == "hybrid" else "auto"))
    return Flat.of(flatten(slide, decide(slide, focus, options, correct=True), options)).written


def main() -> None:
    """Write the pictures into the folder given."""
    for name, crop in CROPS.items():
        jpeg = imagecodecs.jpeg8_encode(picture(crop), level=88)
        Path(sys.argv[1], f"hybrid-{name}.jpg").write_bytes(bytes(jpeg))


if __name__ == "__main__":
    main()
