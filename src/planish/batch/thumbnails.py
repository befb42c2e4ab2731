"""Pictures of a slide for the report: the flat slide, and those panels of its heatmap that it does not show itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from planish.errors import SlideError
from planish.report.frame import Frame, PanelBox
from planish.report.thumbnail import thumbnail
from planish.slide.open import open_slide

FLAT_PIXELS = 320
"""Longer side of the flat slide, at most."""
HEATMAP_PIXELS = 900
"""Longer side of the heatmap, at most."""
HEATMAP_DPI = 90
"""At most; 8 pt, in which its scales are written, are then 10 pixels high."""
FLAT_BYTES, HEATMAP_BYTES = 15_000, 60_000
QUALITIES = (82, 70, 55, 40)
"""Tried in this order until a picture is small enough."""
TITLE, MARGIN = 0.32, 0.12
"""Inches of a panel's title above it, and of its ticks around it."""


def pictures_of(flat: Path, heatmap: Path) -> tuple[bytes, bytes]:
    """Return a flat slide and its heatmap as small JPEG files.

    Parameters
    ----------
    flat : Path
        As `planish flatten` wrote it. The smallest level that suffices is decoded tile by tile.
    heatmap : Path
        PNG of the same run. Its first panel, a thumbnail, and the last one are cut off where its size is that of
        a heatmap of this slide; otherwise it is shown whole.

    Raises
    ------
    SlideError
        Where one of them cannot be read.
    """
    with open_slide(flat) as slide:
        small = thumbnail(slide, longest=FLAT_PIXELS)
        frames = [Frame.of(slide, composed=composed) for composed in (True, False)]
    drawn = _read(heatmap)
    dpi, parts = _panels(drawn, frames)
    return _jpeg(small[:, :, ::-1], FLAT_BYTES), _jpeg(_reduced(_joined(parts), dpi), HEATMAP_BYTES)


def _read(path: Path) -> NDArray[Any]:
    """Return a PNG as (height, width, 3) of uint8, blue first."""
    try:
        data = np.fromfile(path, np.uint8)
    except OSError as error:
        raise SlideError(f"{path}: cannot be read ({error.strerror}); flatten the slide again") from error
    pixels: NDArray[Any] | None = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    if pixels is None:
        raise SlideError(f"{path}: is no PNG; flatten the slide again")
    return pixels


def _panels(drawn: NDArray[Any], frames: list[Frame]) -> tuple[float, list[NDArray[Any]]]:
    """Return the resolution and the panels between the first and the last, by the frame that fits the picture."""
    for frame in frames:
        width, height = frame.figure_inches
        dpi = drawn.shape[1] / width
        if abs(drawn.shape[0] - height * dpi) <= 2:
            boxes = list(zip(frame.panel_boxes, frame.rooms, strict=True))[1:3]
            # Without a panel of how it was composed, the second panel is followed by the sharpness.
            boxes = boxes[: len(frame.rooms) - 2]
            return dpi, [_cut(drawn, box, room, dpi) for box, room in boxes]
    return HEATMAP_DPI, [drawn]


def _cut(drawn: NDArray[Any], box: PanelBox, room: float, dpi: float) -> NDArray[Any]:
    """Return a panel with its title, its colour bar or legend, and its ticks, but not what they say: their unit."""
    left, right = box.left - MARGIN / 2, box.left + box.width + room
    top, bottom = box.bottom + box.height + TITLE, box.bottom - MARGIN / 2
    rows = slice(max(0, drawn.shape[0] - round(top * dpi)), drawn.shape[0] - round(bottom * dpi))
    return drawn[rows, max(0, round(left * dpi)) : round(right * dpi)]


def _joined(parts: list[NDArray[Any]]) -> NDArray[Any]:
    """Put panels beside each other, wide ones below each other, on white."""
    below = parts[0].shape[1] > 2 * parts[0].shape[0]
    size = np.max([part.shape[:2] for part in parts], axis=0)
    padded = []
    for part in parts:
        down, across = (0, size[1] - part.shape[1]) if below else (size[0] - part.shape[0], 0)
        padded.append(cv2.copyMakeBorder(part, 0, int(down), 0, int(across), cv2.BORDER_CONSTANT, value=(255,) * 3))
    return np.concatenate(padded, axis=0 if below else 1)


def _reduced(pixels: NDArray[Any], dpi: float) -> NDArray[Any]:
    height, width = pixels.shape[:2]
    scale = min(1.0, HEATMAP_DPI / dpi, HEATMAP_PIXELS / max(width, height))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)


def _jpeg(pixels: NDArray[Any], most: int) -> bytes:
    """Return (height, width, 3) pixels, blue first, as the best JPEG file of at most so many bytes, or the smallest."""
    for quality in QUALITIES:
        done, data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_OPTIMIZE, 1])
        assert done, "OpenCV encodes any 8-bit picture as JPEG"
        if data.size <= most:
            break
    return bytes(data)
