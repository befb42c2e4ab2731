"""Z-stacks for tests of the tile service: each part is sharp in another plane, so that some cells are composed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from arrays import ArraySlide
from planish.phantom.containers import ContainerOptions, write_container

Z_UM = (-2.0, 0.0, 2.0)
WIDTH, HEIGHT = 1001, 727


def focus_stack(width: int = WIDTH, height: int = HEIGHT) -> NDArray[np.uint8]:
    """Return three planes of coarse and fine grains; bands of columns are sharp in one, blurred in the others."""
    random = np.random.default_rng(7)
    coarse = cv2.resize(random.integers(90, 250, (height // 60, width // 60, 3), np.uint8), (width, height))
    sharp = np.clip(coarse + random.normal(0, 25, coarse.shape), 0, 255).astype(np.uint8)
    planes = []
    for plane in range(len(Z_UM)):
        blurred = cv2.GaussianBlur(sharp, (0, 0), 3)
        for left in range(0, width, 190):
            if left // 190 % len(Z_UM) == plane:
                blurred[:, left : left + 190] = sharp[:, left : left + 190]
        planes.append(blurred)
    return np.stack(planes)


def write_stack(path: Path, stack: NDArray[Any] | None = None, **options: Any) -> Path:
    """Write the stack, or another one, with planish's own containers."""
    chosen = focus_stack() if stack is None else stack
    write_container(ArraySlide(chosen, z_um=Z_UM[: len(chosen)]), path, ContainerOptions(**options))
    return path
