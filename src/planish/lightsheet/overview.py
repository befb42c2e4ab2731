"""One picture of a whole run: the projections of its time points, or its parameters over time."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from planish.lightsheet.diagnostics import draw_series
from planish.lightsheet.figures import DPI, grey, save_figure, show
from planish.lightsheet.layout import Layout
from planish.lightsheet.names import Fused
from planish.lightsheet.parameters import Parameters
from planish.lightsheet.volume import open_volume

_MOST = 24
"""Time points in one picture; of more, so many at even distances."""
_COLUMNS = 6
_SHOWN = {"dx": "px", "dy": "px", "angle_deg": "°", "gain": "×"}


def draw_overview(layout: Layout, keys: Sequence[Fused]) -> None:
    """Draw the projections along z that are there, as ``overview.png``."""
    there = [key for key in keys if layout.projection(key, "xy").exists()]
    if not there:
        return
    step = max(1, math.ceil(len(there) / _MOST))
    chosen = there[::step]
    columns = min(_COLUMNS, len(chosen))
    rows = math.ceil(len(chosen) / columns)
    figure = Figure(figsize=(2.4 * columns, 2.6 * rows), dpi=DPI, facecolor="white", layout="constrained")
    for index, key in enumerate(chosen):
        panel = figure.add_subplot(rows, columns, index + 1)
        with open_volume(layout.projection(key, "xy")) as projection:
            image = np.asarray(projection[0])
        show(panel, grey(image), key.stem.replace("_CM", "\nCM", 1), cmap="gray")
        panel.set_xticks([])
        panel.set_yticks([])
    save_figure(figure, layout.root / "overview.png")


def draw_table(path: Path, rows: Iterable[Parameters], smoothed: Iterable[Parameters] = ()) -> None:
    """Draw what a table has over time, and beside it what it was smoothed to."""
    before, after = list(rows), list(smoothed)
    courses = {f"{name} ({unit})": _lines(before, after, name) for name, unit in _SHOWN.items()}
    draw_series(path, "registration and brightness over time", courses)


def _lines(
    rows: Sequence[Parameters], smoothed: Sequence[Parameters], name: str
) -> dict[str, tuple[np.ndarray[tuple[int], np.dtype[np.float64]], np.ndarray[tuple[int], np.dtype[np.float64]]]]:
    lines = {}
    for series in sorted({row.series for row in rows}):
        label = f"SPM{series[0]:02d} CM{series[1]:02d} CHN{series[3]:02d}"
        for kind, table in ((label, rows), (f"{label} smooth", smoothed)):
            own = sorted((row for row in table if row.series == series), key=lambda row: row.time)
            if own:
                times = np.array([row.time for row in own], np.float64)
                lines[kind] = times, np.array([getattr(row, name) for row in own], np.float64)
    return lines
