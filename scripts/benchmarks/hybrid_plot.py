"""The trade-off over τ as a picture: what is gained by how much is copied."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from hybrid_trial import Series
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

COLOURS = {"cytology-sparse": "#0072b2", "cytology-dense": "#d55e00", "tissue": "#009e73"}
TARGETS = {"cytology-sparse": 90, "cytology-dense": 55, "tissue": 50}
"""Per cent of the cells to be copied."""
GAIN = 85


def plot_curve(found: list[Series], path: Path) -> None:
    """Draw a line for each phantom over all results but the last, and a dot for that one: the defaults."""
    figure = Figure(figsize=(11, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    _lines(left, found, lambda series, index: 100 * series.gain(index))
    _lines(right, found, lambda series, index: series.less_written(index))
    for kind, copied in TARGETS.items():
        left.plot([copied, copied, 101], [125, GAIN, GAIN], ":", color=COLOURS[kind], linewidth=1)
    left.set(ylabel="gain, % of soft's", ylim=(0, 125), title="Pixels composed (dotted: to be reached)")
    right.axhline(0, color="grey", linewidth=0.8)
    right.set(ylabel="(grey levels)²", title="In the file: mean squared error less than select's")
    right.legend(loc="upper left", fontsize="small")
    for axes in (left, right):
        axes.set(xlabel="cells copied, %", xlim=(0, 101))
        axes.grid(alpha=0.3)
    figure.savefig(path, dpi=100)


def _lines(axes: Axes, found: list[Series], figure: Callable[[Series, int], float]) -> None:
    named: set[str] = set()
    for series in found:
        copied = [100 * result.copied for result in series.results]
        heights = [figure(series, index) for index in range(len(copied))]
        colour, label = COLOURS[series.kind], None if series.kind in named else series.kind
        axes.plot(copied[:-1], heights[:-1], color=colour, linewidth=1.2, label=label)
        axes.plot(copied[-1], heights[-1], "o", color=colour, markersize=5)
        named.add(series.kind)
