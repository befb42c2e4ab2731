"""The README's picture: one plane of a phantom, the flat slide, and the truth, side by side."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import imagecodecs
import numpy as np

from planish.convert import convert
from planish.phantom.containers import ContainerOptions, write_container
from planish.phantom.specimen import PhantomOptions, PhantomSlide
from planish.slide.open import open_slide

CROP = (384, 512, 512, 512)
"""Left, top, width and height: a cluster with cells at several depths."""


def main() -> None:
    """Write the picture to the path given."""
    phantom = PhantomSlide(PhantomOptions(width=1024, height=1024, planes=9))
    with tempfile.TemporaryDirectory() as folder:
        stack, flat = Path(folder, "stack.svs"), Path(folder, "flat.tif")
        write_container(phantom, stack, ContainerOptions("svs"))
        convert(stack, flat)
        with open_slide(stack) as source, open_slide(flat) as result:
            crops = [
                source.read_region(0, 4, *CROP),
                result.read_region(0, 0, *CROP),
                phantom.truth.read_region(0, 0, *CROP),
            ]
    gap = np.full((CROP[3], 8, 3), 255, np.uint8)
    picture = np.hstack([crops[0], gap, crops[1], gap, crops[2]])
    Path(sys.argv[1]).write_bytes(bytes(imagecodecs.jpeg8_encode(picture, level=85)))


if __name__ == "__main__":
    main()
