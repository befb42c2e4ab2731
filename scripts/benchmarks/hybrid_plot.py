"""The trade-off over τ as a picture: what is gained by how much is copied."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from hybrid_trial import Series
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

COLOURS = {"cytology-sparse": "#0072b2", "cytology-dense": "#d55e00", "tissue": "#009e73"}
TARGETS = {"cytology-sparse": 90, "cytology-dense": 55, "tissue": 50}
"""Per cent of the cells to be copied."""
GAIN = 85


def plot_curve(found: list[Series], taus: Sequence[float], default: float, path: Path) -> None:
    """Draw a line for each phantom, from small τ on the left to large ones on the right; dots are the default."""
    figure = Figure(figsize=(11, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    marked = taus.index(default)
    _lines(left, found, marked, lambda series, index: 100 * series.gain(index))
    _lines(right, found, marked, lambda series, index: series.less_written(index))
    for kind, copied in TARGETS.items():
        left.plot([copied, copied, 101], [115, GAIN, GAIN], ":", color=COLOURS[kind], linewidth=1)
    left.set(ylabel="gain, % of soft's", ylim=(0, 125), title="Pixels composed (dotted: to be reached)")
    right.axhline(0, color="grey", linewidth=0.8)
    right.set(ylabel="(grey levels)²", title="In the file: mean squared error less than select's")
    right.legend(loc="upper left", fontsize="small")
    for axes in (left, right):
        axes.set(xlabel="cells copied, %", xlim=(0, 101))
        axes.grid(alpha=0.3)
    figure.savefig(path, dpi=100)


def _lines(axes: Axes, found: list[Series], marked: int, figure: Callable[[Series, int], float]) -> None:
    named: set[str] = set()
    for series in found:
        copied = [100 * result.copied for result in series.results]
        heights = [figure(series, index) for index in range(len(copied))]
        colour = COLOURS[series.kind]
        axes.plot(copied, heights, color=colour, linewidth=1.2, label=None if series.kind in named else series.kind)
        axes.plot(copied[marked], heights[marked], "o", color=colour, markersize=5)
        named.add(series.kind)
