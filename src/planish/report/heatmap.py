"""`write_heatmap`: which plane was chosen where, beside the slide itself and how sharp it is there."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from planish.errors import OptionError
from planish.planemap import How, PlaneMap
from planish.report.frame import LEFT, Frame
from planish.report.panels import draw_composed, draw_planes, draw_sharpness, z_text
from planish.report.thumbnail import middle_plane, thumbnail, write_png
from planish.slide.base import Slide

QUIET = "#595959"
"""Colour of secondary text."""


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
        Resolution; the figure is about 13 inches wide, 11 where it says how cells were composed.
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
    """Write a PNG of panels: thumbnail, chosen plane, how it was composed where the map says, sharpness.

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
    frame = Frame.of(slide, composed=focus.recipe is not None)
    figure = Figure(figsize=frame.figure_inches, dpi=options.dpi, facecolor="white")
    panels = [figure.add_axes(frame.on_figure(box)) for box in frame.panel_boxes]
    plane = middle_plane(slide) if options.plane is None else options.plane
    panels[0].imshow(
        thumbnail(slide, plane, frame.thumbnail_pixels(options.dpi)), extent=(0, frame.width, frame.height, 0)
    )
    panels[0].set_title(f"Slide, {_plane_name(focus, plane)}", fontsize=10)
    draw_planes(panels[1], focus, frame)
    if focus.recipe:
        draw_composed(panels[2], focus, focus.recipe, frame)
    draw_sharpness(panels[-1], focus, frame)
    for index, panel in enumerate(panels):
        panel.set(xlim=(0, frame.width), ylim=(frame.height, 0))
        lowest = frame.is_lowest(index)
        panel.tick_params(labelsize=8, labelbottom=lowest, labelleft=frame.is_leftmost(index))
        if lowest:
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


def _plane_name(focus: PlaneMap, plane: int) -> str:
    z = focus.z_um[plane]
    return f"plane {plane}" if z is None else f"plane {plane}, z = {z_text(z)} µm"
