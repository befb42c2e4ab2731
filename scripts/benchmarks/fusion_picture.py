"""The picture of docs/fusion.md: clumps of cells on glass, one plane, fused by several methods, and the truth."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import cv2
import imagecodecs
import numpy as np
from numpy.typing import NDArray

from planish.fuse.stack import fuse_stack
from planish.phantom.stacks import clump_stack

SEED, PLANES, SIZE = 0, 7, 1024
CROP = np.s_[370:666, 500:796]
"""Rows and columns: clumps that lie above one another at several depths, and glass."""
COLUMNS, GAP, CAPTION = 3, 8, 22
"""Pictures in a row, pixels between them, and height of a caption in pixels."""


def captioned(name: str, picture: NDArray[Any]) -> NDArray[np.uint8]:
    """Return the picture with its name above."""
    whole = np.full((picture.shape[0] + CAPTION, picture.shape[1] + GAP, 3), 255, np.uint8)
    whole[CAPTION:, GAP // 2 : -GAP // 2] = picture
    cv2.putText(whole, name, (GAP // 2, CAPTION - 7), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 0, 0), 1, cv2.LINE_AA)
    return whole


def main() -> None:
    """Write the picture to the path given."""
    phantom = clump_stack(SIZE, PLANES, SEED, "clusters")
    pictures = {"one plane, the middle one": phantom.stack[PLANES // 2]}
    for method in ("clij2", "selective", "pick", "soft"):
        pictures[method] = fuse_stack(phantom.stack, method, backend="numpy").image
    pictures["truth"] = np.rint(phantom.truth).clip(0, 255).astype(np.uint8)
    panels = [captioned(name, picture[CROP]) for name, picture in pictures.items()]
    rows = [np.hstack(panels[start : start + COLUMNS]) for start in range(0, len(panels), COLUMNS)]
    Path(sys.argv[1]).write_bytes(bytes(imagecodecs.jpeg8_encode(np.vstack(rows), level=88)))


if __name__ == "__main__":
    main()
