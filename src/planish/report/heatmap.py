"""`write_heatmap`: which plane was chosen where, beside the slide itself and how sharp it is there."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import BoundaryNorm, LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Patch
from matplotlib.ticker import EngFormatter
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from planish.errors import OptionError
from planish.planemap import How, PlaneMap
from planish.report.thumbnail import middle_plane, thumbnail, write_png
from planish.slide.base import Slide

GLASS, QUIET = "#d9d9d9", "#595959"
"""Colours of glass cells and of secondary text."""
PLANE_COLORS, SHARPNESS_COLORS = "viridis", "magma"
"""Perceptually uniform, readable with any colour vision, and not to be mistaken for each other."""
PALE = 0.55
"""Opacity of cells that were not scored."""
WIDE = 1.6
"""Width over height from which on the panels stand below each other."""
LEFT, BOTTOM, TOP, BAR = 0.6, 0.85, 0.55, 0.9
"""Room in inches around the panels, and right of those with a colour bar."""


@dataclass(frozen=True, slots=True)
class HeatmapOptions:
    """How a heatmap is drawn.

    Attributes
    ----------
    title : str or None
        Drawn above the panels. None by default, for a slide's name can hold a patient's.
    plane : int or None
        Plane of the thumbnail, by default the middle one.
    dpi : int
        Resolution; the figure is about 13 inches wide.
    """

    title: str | None = None
    plane: int | None = None
    dpi: int = 150

    def __post_init__(self) -> None:
        if not 10 <= self.dpi <= 1200:
            raise OptionError(f"a heatmap's resolution must be 10 to 1200 dots per inch, got {self.dpi}")


def write_heatmap(
    slide: Slide, focus: PlaneMap, path: Path, options: HeatmapOptions | None = None, *, overwrite: bool = False
) -> None:
    """Write a PNG of three panels: thumbnail, chosen plane per cell, sharpness per cell.

    Parameters
    ----------
    slide : Slide
        The slide that was surveyed.
    focus : PlaneMap
        Its plane map.
    path : Path
        Ends in ``.png``.
    options : HeatmapOptions, optional
        How it is drawn.
    overwrite : bool, optional
        Whether a file of that name may be replaced.

    Raises
    ------
    OptionError
        Where the map was made for another slide.
    WriteError
        Where the file is there already or cannot be written.
    """
    write_png(heatmap(slide, focus, options), path, overwrite=overwrite)


def heatmap(slide: Slide, focus: PlaneMap, options: HeatmapOptions | None = None) -> NDArray[np.uint8]:
    """Return the picture that `write_heatmap` writes, (height, width, 3).

    Raises
    ------
    OptionError
        Where the map was made for another slide.
    """
    focus.check_fits(slide)
    canvas: Any = FigureCanvasAgg(draw(slide, focus, options or HeatmapOptions()))
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[:, :, :3].copy()


def draw(slide: Slide, focus: PlaneMap, options: HeatmapOptions) -> Figure:
    """Return the figure; no state outside it is touched, so that threads may draw at once."""
    frame = _Frame.of(slide)
    figure = Figure(figsize=frame.figure_inches, dpi=options.dpi, facecolor="white")
    panels = [figure.add_axes(frame.on_figure(box)) for box in frame.panel_boxes]
    plane = middle_plane(slide) if options.plane is None else options.plane
    panels[0].imshow(
        thumbnail(slide, plane, frame.thumbnail_pixels(options.dpi)), extent=(0, frame.width, frame.height, 0)
    )
    panels[0].set_title(f"Slide, {_plane_name(focus, plane)}", fontsize=10)
    _draw_planes(panels[1], focus, frame)
    _draw_sharpness(panels[2], focus, frame)
    for panel in panels:
        panel.set(xlim=(0, frame.width), ylim=(frame.height, 0))
        panel.tick_params(labelsize=8)
    for panel in panels[:2] if frame.wide else panels[1:]:
        panel.tick_params(labelbottom=not frame.wide, labelleft=frame.wide)
    for panel in panels[2:] if frame.wide else panels:
        panel.set_xlabel(frame.unit, fontsize=8)
    left, top = LEFT / frame.figure_inches[0], 1 - 0.1 / frame.figure_inches[1]
    figure.text(left, 0.12 / frame.figure_inches[1], summary(focus), fontsize=7.5, color=QUIET)
    figure.text(left, top, options.title or "", fontsize=11, va="top")
    return figure


def summary(focus: PlaneMap) -> str:
    """Return one line on how the map was made: sampler, scorer, and how many cells are what."""
    parts = [f"{focus.plane.size:,} cells of {focus.cell_width} × {focus.cell_height} px"]
    counts = {"specimen": focus.specimen, "inferred": focus.how == How.INFERRED, "glass": focus.how == How.GLASS}
    parts += [f"{np.count_nonzero(cells):,} {name}" for name, cells in counts.items() if cells.any()]
    if focus.record:
        parts.insert(0, f"{focus.record.sampler} sampler")
        if audit := focus.record.audit:
            parts.append(
                f"audit: {audit.wrong:,} of {audit.checked:,} wrong ({100 * audit.low:.1f} to {100 * audit.high:.1f} %)"
            )
    return "  ·  ".join(parts)


@dataclass(frozen=True, slots=True)
class _Frame:
    """The axes' frame: level-0 pixels times `step_x` and `step_y`, in mm where the pixel size is known."""

    unit: str
    step_x: float
    step_y: float
    width: float
    height: float

    @classmethod
    def of(cls, slide: Slide) -> _Frame:
        full, metadata = slide.levels[0], slide.metadata
        unit, step_x, step_y = "level-0 pixels", 1.0, 1.0
        if metadata.mpp_x and metadata.mpp_y:
            unit, step_x, step_y = "mm", metadata.mpp_x / 1000, metadata.mpp_y / 1000
        return cls(unit, step_x, step_y, full.width * step_x, full.height * step_y)

    @property
    def wide(self) -> bool:
        return self.width > WIDE * self.height

    @property
    def panel_inches(self) -> tuple[float, float]:
        aspect = self.width / self.height
        width = 10.0 if self.wide else min(3.8, 8 * aspect)
        return max(width, 1.5), max(width / aspect, 1.0)

    @property
    def panel_boxes(self) -> list[tuple[float, float, float, float]]:
        """Left, bottom, width and height of the three panels in inches; the last two have colour bars beside them."""
        width, height = self.panel_inches
        if self.wide:
            return [(LEFT, BOTTOM + place * (height + 0.4), width, height) for place in (2, 1, 0)]
        second = LEFT + width + 0.3
        return [(left, BOTTOM, width, height) for left in (LEFT, second, second + width + BAR + 0.15)]

    @property
    def figure_inches(self) -> tuple[float, float]:
        boxes = self.panel_boxes
        return max(left + width for left, _, width, _ in boxes) + BAR, max(
            low + high for _, low, _, high in boxes
        ) + TOP

    def on_figure(self, box: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
        """Inches as fractions of the figure."""
        width, height = self.figure_inches
        return box[0] / width, box[1] / height, box[2] / width, box[3] / height

    def thumbnail_pixels(self, dpi: int) -> int:
        return round(max(self.panel_inches) * dpi)

    def cells(self, focus: PlaneMap) -> tuple[float, float, float, float]:
        """Left, right, bottom and top of the cell grid, whose last cells may reach beyond the slide."""
        right = focus.columns * focus.cell_width * self.step_x
        return 0, right, focus.rows * focus.cell_height * self.step_y, 0


def _draw_planes(panel: Axes, focus: PlaneMap, frame: _Frame) -> None:
    count = len(focus.z_um)
    known = None not in focus.z_um
    shown = np.ma.masked_array(focus.plane, ~focus.specimen)
    image = panel.imshow(
        shown,
        extent=frame.cells(focus),
        cmap=colormaps[PLANE_COLORS].resampled(count).with_extremes(bad=GLASS),
        norm=BoundaryNorm(np.arange(count + 1) - 0.5, count),
        interpolation="nearest",
    )
    panel.set_title("Sharpest plane", fontsize=10)
    step = math.ceil(count / (4 * frame.panel_inches[1]))
    ticks = range((count - 1) // 2 % step, count, step)
    labels = [_z(focus.z_um[tick]) if known else str(tick) for tick in ticks]
    _bar(image, "z (µm)" if known else "plane (0 = lowest)", ticks=ticks, labels=labels)


def _draw_sharpness(panel: Axes, focus: PlaneMap, frame: _Frame) -> None:
    glass = ~focus.specimen
    unscored = ~glass & np.isnan(focus.sharpness)
    colors = colormaps[SHARPNESS_COLORS].with_extremes(bad=GLASS)
    nearest = distance_transform_edt(unscored | glass, return_distances=False, return_indices=True)
    image = panel.imshow(
        np.ma.masked_array(focus.sharpness[tuple(nearest)], glass),
        extent=frame.cells(focus),
        cmap=colors,
        norm=_norm(focus.sharpness[~glass & ~unscored]),
        alpha=np.where(unscored, PALE, 1.0),
        interpolation="nearest",
    )
    panel.set_title("Sharpness of that plane", fontsize=10)
    _bar(image, focus.record.scorer if focus.record else "score")
    swatches = []
    if unscored.any():
        swatches.append(Patch(facecolor=colors(0.6), alpha=PALE, label="paler: not scored, as the nearest that was"))
    if glass.any():
        swatches.append(Patch(facecolor=GLASS, label="glass"))
    _legend(panel, swatches)


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


def _legend(panel: Axes, swatches: list[Patch]) -> None:
    """Name, in the lower right corner of the figure, the colours that the bars do not."""
    figure = panel.get_figure(root=True)
    assert figure is not None, "drawn on a figure"
    corner = (panel.get_position(original=True).x1, 0.27 / figure.get_figheight())
    style: dict[str, Any] = {"ncols": 2, "fontsize": 7.5, "frameon": False, "borderpad": 0}
    if swatches:
        figure.legend(handles=swatches, loc="lower right", bbox_to_anchor=corner, **style)


def _plane_name(focus: PlaneMap, plane: int) -> str:
    z = focus.z_um[plane]
    return f"plane {plane}" if z is None else f"plane {plane}, z = {_z(z)} µm"


def _z(z_um: float | None) -> str:
    return "?" if z_um is None else f"{z_um:g}".replace("-", "−")
