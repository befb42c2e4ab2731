"""`Overlay`: a plane map to be laid over its slide, as JSON and as tiles in colours; glass is transparent."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from planish.planemap import How, PlaneMap
from planish.serve.geometry import Grid
from planish.serve.wanted import Refused

LAYERS = ("plane", "margin", "sharpness")
COLOURS = {"plane": cv2.COLORMAP_VIRIDIS, "margin": cv2.COLORMAP_CIVIDIS, "sharpness": cv2.COLORMAP_MAGMA}
"""The colour maps of `planish.report.panels`, out of OpenCV: matplotlib is slow to load."""
PALE = 140
"""Opacity, of 255, of cells that were not scored."""
_STEPS = 32
"""Colours of a legend."""


@dataclass(frozen=True, slots=True)
class Scale:
    """What the first and the last colour stand for, and whether those between are spread by logarithms."""

    low: float
    high: float
    log: bool = False

    def unit(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """Return values as parts of the scale, 0 to 1."""
        spread = np.log if self.log else np.asarray
        wide = np.clip(values.astype(np.float64), self.low, self.high)
        low, high = spread(np.float64(self.low)), spread(np.float64(self.high))
        return np.asarray((spread(wide) - low) / (high - low if high > low else 1.0))


class Overlay:
    """A plane map over its slide."""

    def __init__(self, focus: PlaneMap, grid: Grid) -> None:
        self._focus, self._grid = focus, grid
        self._coloured: dict[str, NDArray[np.uint8]] = {}
        self._scales = {
            "plane": Scale(0, max(1, len(focus.z_um) - 1)),
            # Few slides have margins beyond a tenth: from 0 to 1, all cells would look alike.
            "margin": Scale(0, _spread(focus, focus.margin).high),
            "sharpness": _spread(focus, focus.sharpness),
        }

    def to_json(self) -> bytes:
        """Return cells, row by row, and legends."""
        focus = self._focus
        facts: dict[str, Any] = {
            "width": focus.width,
            "height": focus.height,
            "cell_width": focus.cell_width,
            "cell_height": focus.cell_height,
            "columns": focus.columns,
            "rows": focus.rows,
            "z_um": list(focus.z_um),
            "how_values": {how.name.lower(): int(how) for how in How},
            "scorer": focus.record.scorer if focus.record else None,
            "method": focus.recipe.method if focus.recipe else "select",
            "legend": self._legends(),
            "plane": focus.plane.tolist(),
            "how": focus.how.tolist(),
            "margin": _numbers(focus.margin),
            "sharpness": _numbers(focus.sharpness),
            "action": focus.recipe.action.tolist() if focus.recipe else None,
        }
        return json.dumps(facts, allow_nan=False, separators=(",", ":")).encode()

    def tile(self, layer: str, level: int, column: int, row: int) -> bytes:
        """Return a DZI tile of a layer as PNG; each pixel shows the cell under its middle.

        Raises
        ------
        Refused
            Where there is no such layer or tile.
        """
        if layer not in LAYERS:
            raise Refused("range", f"{layer[:40]!r} is not there; a focus map shows {', '.join(LAYERS)}")
        box, scale = self._grid.tile_box(level, column, row), 1 << self._grid.step(level)
        focus = self._focus
        columns = _cells(box.x, box.width, scale, focus.cell_width, focus.columns)
        rows = _cells(box.y, box.height, scale, focus.cell_height, focus.rows)
        pixels = self._colours(layer)[rows[:, None], columns[None]]
        done, data = cv2.imencode(".png", pixels, [cv2.IMWRITE_PNG_COMPRESSION, 1])
        assert done, "OpenCV encodes any 8-bit picture as PNG"
        return data.tobytes()

    def _colours(self, layer: str) -> NDArray[np.uint8]:
        """Return (rows, columns, 4), blue first: the cells in colours."""
        if layer not in self._coloured:
            focus = self._focus
            values: NDArray[Any] = getattr(focus, layer)
            known = focus.specimen & np.isfinite(values)
            filled = values
            if known.any() and not known.all():
                nearest = distance_transform_edt(~known, return_distances=False, return_indices=True)
                filled = values[tuple(nearest)]
            unit = self._scales[layer].unit(np.nan_to_num(filled))
            cells = np.empty((*values.shape, 4), np.uint8)
            cells[..., :3] = _table(layer)[np.rint(255 * unit).astype(int)]
            cells[..., 3] = np.where(known, 255, PALE if known.any() else 0)
            cells[~focus.specimen] = 0
            self._coloured[layer] = cells
        return self._coloured[layer]

    def _legends(self) -> dict[str, Any]:
        return {
            layer: asdict(scale)
            | {"colours": _hex(layer, len(self._focus.z_um) if layer == "plane" else _STEPS), "pale": PALE / 255}
            for layer, scale in self._scales.items()
        }


def _table(layer: str) -> NDArray[np.uint8]:
    """Return the 256 colours of a layer, blue first."""
    coloured = cv2.applyColorMap(np.arange(256, dtype=np.uint8)[:, None], COLOURS[layer])
    return np.asarray(coloured[:, 0], np.uint8)


def _hex(layer: str, count: int) -> list[str]:
    places = np.rint(np.linspace(0, 255, count)).astype(int)
    return ["#{:02x}{:02x}{:02x}".format(*colour[::-1]) for colour in _table(layer)[places].tolist()]


def _spread(focus: PlaneMap, layer: NDArray[np.float32]) -> Scale:
    """Return a scale from the 1st to the 99th percentile of the specimen, as `planish.report.panels` has it."""
    values = layer[focus.specimen & np.isfinite(layer)]
    low, high = (float(value) for value in np.percentile(values, (1, 99))) if values.size else (0.0, 1.0)
    return Scale(low, high, log=0 < 10 * low < high)


def _cells(start: int, length: int, scale: int, cell: int, count: int) -> NDArray[np.int64]:
    """Return the cell under the middle of each pixel along one axis."""
    middles = (np.arange(start, start + length, dtype=np.int64) * 2 + 1) * scale // 2
    return np.minimum(middles // cell, count - 1)


def _numbers(values: NDArray[np.float32]) -> list[list[float | None]]:
    """Return rows of four significant digits; JSON has no NaN."""
    return [[float(f"{v:.4g}") if np.isfinite(v) else None for v in row] for row in values.tolist()]
