"""The panels of a heatmap, cell by cell: the sharpest plane, how it was composed, how sharp it is."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm, ListedColormap, LogNorm, Normalize
from matplotlib.image import AxesImage
from matplotlib.patches import Patch
from matplotlib.ticker import EngFormatter
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from planish.planemap import How, PlaneMap
from planish.recipe import Action, Recipe
from planish.report.frame import Frame

GLASS = "#d9d9d9"
PLANE_COLORS, SHARPNESS_COLORS = "viridis", "magma"
"""Perceptually uniform, readable with any colour vision, and not to be mistaken for each other."""
OVERLAP = len(Action)
"""Code of cells in which two planes are sharp at once; the other codes are those of `Action`."""
COMPOSED = {
    int(Action.COPY): ("copied", "#9ccbf0"),
    int(Action.RAMP): ("borders blended", "#529fd6"),
    int(Action.FUSE): ("fused", "#08306b"),
    OVERLAP: ("fused; two planes\nsharp at once", "#d95f02"),
}
"""Names and colours, from the least to the most touched; they differ in lightness, or as blue and orange do."""
PALE = 0.55
"""Opacity of cells that were not scored."""


def draw_planes(panel: Axes, focus: PlaneMap, frame: Frame) -> None:
    """Draw the plane of each cell, with a colour bar."""
    count = len(focus.z_um)
    known = None not in focus.z_um
    shown = np.ma.masked_array(focus.plane, ~focus.specimen)
    image = panel.imshow(
        shown,
        extent=_cells(focus, frame),
        cmap=colormaps[PLANE_COLORS].resampled(count).with_extremes(bad=GLASS),
        norm=BoundaryNorm(np.arange(count + 1) - 0.5, count),
        interpolation="nearest",
    )
    panel.set_title("Sharpest plane", fontsize=10)
    step = math.ceil(count / (4 * frame.panel_inches[1]))
    ticks = range((count - 1) // 2 % step, count, step)
    labels = [z_text(focus.z_um[tick]) if known else str(tick) for tick in ticks]
    _bar(image, "z (µm)" if known else "plane (0 = lowest)", ticks=ticks, labels=labels)


def draw_composed(panel: Axes, focus: PlaneMap, recipe: Recipe, frame: Frame) -> None:
    """Draw what was done in each cell, with a legend of what there is."""
    kind = np.where(recipe.overlap > 0, OVERLAP, recipe.action)
    glass = ~focus.specimen & (kind == Action.COPY)
    colors = [COMPOSED[code][1] for code in range(len(COMPOSED))]
    panel.imshow(
        np.ma.masked_array(kind, glass),
        extent=_cells(focus, frame),
        cmap=ListedColormap(colors).with_extremes(bad=GLASS),
        norm=BoundaryNorm(np.arange(len(colors) + 1) - 0.5, len(colors)),
        interpolation="nearest",
    )
    panel.set_title(f"Composed by {recipe.method}", fontsize=10)
    counts = [(name, color, np.count_nonzero((kind == code) & ~glass)) for code, (name, color) in COMPOSED.items()]
    counts.insert(1, ("glass, copied", GLASS, np.count_nonzero(glass)))
    _legend(
        panel,
        [Patch(facecolor=color, label=f"{name}: {count:,}") for name, color, count in counts if count],
        right=0.08,
        bottom=panel.get_position(original=True).y1,
        loc="upper left",
        borderaxespad=0,
        handlelength=1.3,
    )


def draw_sharpness(panel: Axes, focus: PlaneMap, frame: Frame) -> None:
    """Draw the score of each cell, with a colour bar, and a legend in the lower right corner of the figure."""
    glass = ~focus.specimen
    unscored = ~glass & np.isnan(focus.sharpness)
    colors = colormaps[SHARPNESS_COLORS].with_extremes(bad=GLASS)
    nearest = distance_transform_edt(unscored | glass, return_distances=False, return_indices=True)
    image = panel.imshow(
        np.ma.masked_array(focus.sharpness[tuple(nearest)], glass),
        extent=_cells(focus, frame),
        cmap=colors,
        norm=_norm(focus.sharpness[~glass & ~unscored]),
        alpha=np.where(unscored, PALE, 1.0),
        interpolation="nearest",
    )
    panel.set_title("Sharpness of that plane", fontsize=10)
    _bar(image, focus.record.scorer if focus.record else "score")
    swatches = []
    if unscored.any():
        swatches.append(Patch(facecolor=colors(0.6), alpha=PALE, label=f"paler: {_why_pale(focus, unscored)}"))
    if glass.any():
        swatches.append(Patch(facecolor=GLASS, label="glass"))
    _legend(panel, swatches, right=0, bottom=0.27 / frame.figure_inches[1], loc="lower right", ncols=2)


def z_text(z_um: float | None) -> str:
    """Return a z in µm as it is written in a figure."""
    return "?" if z_um is None else f"{z_um:g}".replace("-", "−")


def _why_pale(focus: PlaneMap, unscored: NDArray[np.bool_]) -> str:
    # Hybrid gives cells other planes by scores of its own, which are in another unit.
    if (focus.how[unscored] == How.DENSE).any():
        return "no score in this unit, as the nearest that has"
    return "not scored, as the nearest that was"


def _cells(focus: PlaneMap, frame: Frame) -> tuple[float, float, float, float]:
    """Left, right, bottom and top of the cell grid, whose last cells may reach beyond the slide."""
    right = focus.columns * focus.cell_width * frame.step_x
    return 0, right, focus.rows * focus.cell_height * frame.step_y, 0


def _norm(values: NDArray[np.float32]) -> Normalize:
    """Scale from the 1st to the 99th percentile, by logarithms where they lie more than a decade apart."""
    low, high = np.percentile(values, (1, 99)) if values.size else (0, 1)
    return LogNorm(low, high, clip=True) if 0 < 10 * low < high else Normalize(low, high)


def _bar(image: AxesImage, label: str, **ticks: Any) -> None:
    """Draw the colour bar into the room right of the image's panel, as high as the panel's box."""
    panel = image.axes
    figure = panel.get_figure(root=True)
    assert figure is not None, "drawn on a figure"
    box, inch = panel.get_position(original=True), 1 / figure.get_figwidth()
    axes = figure.add_axes((box.x1 + 0.08 * inch, box.y0, 0.14 * inch, box.height))
    bar = figure.colorbar(image, cax=axes)
    if ticks:
        axes.set_yticks(**ticks)
        axes.minorticks_off()
    else:
        # 20 k instead of 2 × 10⁴, also between decades: narrow enough for the room there is.
        axes.yaxis.set_major_formatter(EngFormatter(places=0, sep=""))
        axes.yaxis.set_minor_formatter(EngFormatter(places=0, sep=""))
    axes.tick_params(which="both", labelsize=8)
    bar.set_label(label, fontsize=8)


def _legend(panel: Axes, swatches: list[Patch], *, right: float, bottom: float, **style: Any) -> None:
    """Name colours that no bar explains.

    A corner of the legend stands `right` inches beside the panel's right border, at the height `bottom` of the
    figure, 0 to 1.
    """
    figure = panel.get_figure(root=True)
    assert figure is not None, "drawn on a figure"
    corner = (panel.get_position(original=True).x1 + right / figure.get_figwidth(), bottom)
    style |= {"fontsize": 7.5, "frameon": False, "borderpad": 0}
    if swatches:
        figure.legend(handles=swatches, bbox_to_anchor=corner, **style)
