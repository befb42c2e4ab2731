"""What the pictures of the diagnostics have in common."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from planish.report.thumbnail import write_png

DPI = 110
_LONGEST = 640
"""Pixels of an image in a figure; larger ones are averaged down."""
FIRST, SECOND = "#c837c8", "#2f9e2f"
"""Colours of the two views: magenta and green, which are grey where both see the same."""


def new_figure(columns: int, title: str, height: float = 4.2) -> tuple[Figure, list[Axes]]:
    """Return a figure with a row of panels; no state outside it is touched."""
    figure = Figure(figsize=(4 * columns, height), dpi=DPI, facecolor="white", layout="constrained")
    figure.suptitle(title, fontsize=10)
    panels = [figure.add_subplot(1, columns, column + 1) for column in range(columns)]
    for panel in panels:
        panel.tick_params(labelsize=7)
    return figure, panels


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure as PNG; what is there is replaced."""
    canvas: Any = FigureCanvasAgg(figure)
    canvas.draw()
    write_png(np.asarray(canvas.buffer_rgba())[:, :, :3].copy(), path, overwrite=True)


def show(panel: Axes, image: NDArray[Any], title: str, aspect: float = 1.0, **style: Any) -> Any:
    """Draw an image with axes in its own pixels; `aspect` is the height of a pixel per its width."""
    height, width = image.shape[:2]
    panel.set_title(title, fontsize=8)
    return panel.imshow(
        small(image), extent=(-0.5, width - 0.5, height - 0.5, -0.5), aspect=aspect, interpolation="nearest", **style
    )


def small(image: NDArray[Any]) -> NDArray[Any]:
    """Return an image averaged down to what a figure shows."""
    height, width = image.shape[:2]
    factor = min(1.0, _LONGEST / max(height, width))
    if factor == 1 or not np.isfinite(image).all():
        step = max(1, round(1 / factor))
        return image[::step, ::step]
    size = max(1, round(width * factor)), max(1, round(height * factor))
    return np.asarray(cv2.resize(image.astype(np.float32), size, interpolation=cv2.INTER_AREA))


def grey(image: NDArray[Any]) -> NDArray[np.float32]:
    """Return an image stretched to 0 to 1, from its 1st to its 99.8th percentile."""
    low, high = np.percentile(image, (1, 99.8))
    stretched = (np.asarray(image, np.float32) - low) / max(float(high - low), 1e-9)
    return np.asarray(np.clip(stretched, 0, 1), np.float32)


def overlay(first: NDArray[Any], second: NDArray[Any]) -> NDArray[np.float32]:
    """Return two images in one, the first in magenta and the second in green."""
    one, other = grey(first), grey(second)
    return np.stack([one, other, one], axis=-1)
