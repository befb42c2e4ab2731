"""Pictures by which a person sees whether a step did what it should."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from planish.lightsheet.correction import Corrected
from planish.lightsheet.figures import FIRST, SECOND, grey, new_figure, overlay, save_figure, show
from planish.lightsheet.transform import CameraTransform

Image = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Views:
    """Two views as fusion sees them.

    Attributes
    ----------
    name : str
        What to write above a picture.
    first, second : array-like, (Z, Y, X)
        Sliced by planes.
    aspect : float
        Plane distance per pixel.
    """

    name: str
    first: Any
    second: Any
    aspect: float = 1.0


def draw_correction(path: Path, made: Corrected, name: str) -> None:
    """Draw a corrected volume's projection with its mask's outline, the bad pixels, and the mask's mean z."""
    columns = 3 if made.found else 2
    figure, panels = new_figure(columns, f"{name}: background {made.background:.1f} counts taken off")
    show(panels[0], grey(made.pixels.max(axis=0)), "maximum along z", cmap="gray")
    rows, places = np.nonzero(made.bad)
    show(panels[1], np.zeros(made.bad.shape), f"{len(rows):,} bad pixels replaced", cmap="gray_r", vmin=0, vmax=1)
    panels[1].plot(places, rows, "k.", markersize=1)
    if made.found:
        known = np.isfinite(made.found.z_yx)
        if known.any() and not known.all():
            panels[0].contour(known, levels=[0.5], colors=[SECOND], linewidths=0.8)
        image = show(panels[2], made.found.z_yx, "mask: mean z, in planes", cmap="viridis")
        figure.colorbar(image, ax=panels[2], shrink=0.7).ax.tick_params(labelsize=7)
    save_figure(figure, path)


def draw_registration(path: Path, name: str, planes: tuple[Image, Image, Image], found: CameraTransform) -> None:
    """Draw one plane of both cameras over each other.

    Parameters
    ----------
    path : Path
        The PNG.
    name : str
        What is written above.
    planes : tuple of ndarray, (Y, X)
        The first camera's, the second's, the second's when moved.
    found : CameraTransform
        How it was moved.
    """
    figure, panels = new_figure(2, f"{name}: first camera magenta, second green; both grey", 4.6)
    first, second, moved = planes
    show(panels[0], overlay(first, second), "before")
    said = f"after: {found.dx:+.2f} px, {found.dy:+.2f} px, {found.angle_deg:+.3f}°, alike {found.score:.2f}"
    show(panels[1], overlay(first, moved), said)
    save_figure(figure, path)


def draw_gain(path: Path, views: Views, gain: float, transition: float) -> None:
    """Draw the mean light of every plane of both views, the second as it is and brought to the first's brightness.

    Parameters
    ----------
    path : Path
        The PNG.
    views : Views
        Registered, not matched.
    gain : float
        Factor of the second.
    transition : float
        The plane around which both were compared.
    """
    light = [np.array([float(np.mean(view[z])) for z in range(view.shape[0])]) for view in (views.first, views.second)]
    figure, (panel,) = new_figure(1, f"{views.name}: the second view × {gain:.3f}")
    figure.set_figwidth(7)
    panel.plot(light[0], color=FIRST, label="first")
    panel.plot(light[1], color=SECOND, linestyle=":", label="second as it is")
    panel.plot(light[1] * gain, color=SECOND, label="second, matched")
    panel.axvline(transition, color="0.6", linewidth=0.8)
    panel.set_xlabel("plane; both were compared around the line", fontsize=8)
    panel.set_ylabel("mean light, counts", fontsize=8)
    panel.legend(fontsize=7, frameon=False)
    save_figure(figure, path)


def draw_fusion(path: Path, views: Views, fused: Any) -> None:
    """Draw the middle x-z section and a plane of the front and of the back third, of both views and of the result."""
    depth, height, _ = views.first.shape
    figure, panels = new_figure(3, f"{views.name}: x-z section through the middle", 3.4)
    for panel, (title, volume) in zip(
        panels, {"first view": views.first, "second view": views.second, "fused": fused}.items(), strict=True
    ):
        section = np.stack([np.asarray(volume[z])[height // 2] for z in range(depth)])
        show(panel, grey(section), title, views.aspect, cmap="gray")
    save_figure(figure, path)


def draw_weights(path: Path, name: str, weights: Any, surface: Image | None, aspect: float = 1.0) -> None:
    """Draw the first view's share of the middle x-z section, and the surface where the second takes over."""
    depth, height, _ = weights.shape
    figure, panels = new_figure(1 if surface is None else 2, f"{name}: blending")
    section = np.stack([np.asarray(weights[z])[height // 2] for z in range(depth)])
    image = show(panels[0], section, "first view's share, x-z section through the middle", aspect, vmin=0, vmax=1)
    figure.colorbar(image, ax=panels[0], shrink=0.7).ax.tick_params(labelsize=7)
    if surface is not None:
        image = show(panels[1], surface, "where the second takes over", cmap="viridis")
        figure.colorbar(image, ax=panels[1], shrink=0.7).ax.tick_params(labelsize=7)
    save_figure(figure, path)


def draw_series(path: Path, name: str, courses: Mapping[str, Mapping[str, tuple[Image, Image]]]) -> None:
    """Draw parameters over time.

    Parameters
    ----------
    path : Path
        The PNG.
    name : str
        What is written above.
    courses : Mapping
        By parameter, and in it by label: times and values; what is called ``"smooth"`` is drawn as a line.
    """
    figure, panels = new_figure(len(courses), name, 3.2)
    for panel, (parameter, lines) in zip(panels, courses.items(), strict=True):
        panel.set_title(parameter, fontsize=8)
        for label, (times, values) in lines.items():
            panel.plot(times, values, *(("-",) if label.endswith("smooth") else (".",)), markersize=3, label=label)
        panel.set_xlabel("time point", fontsize=8)
        panel.legend(fontsize=7, frameon=False)
    save_figure(figure, path)
