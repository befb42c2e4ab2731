"""What an OME-Zarr output says of itself: axes, scales, channels and how to show them, and that planish wrote it."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from planish._version import __version__
from planish.slide.base import Slide
from planish.write.levels import LevelPlan

VERSION = "0.5"
OURS = "planish"
"""Of the attributes that only planish writes."""
AXES = ("t", "c", "z", "y", "x")
"""All five, in the order that was the only one until 0.3: readers that know but one layout know this one."""
_KINDS = {"t": "time", "c": "channel"}
_RGB = {"R": "FF0000", "G": "00FF00", "B": "0000FF"}
_COLOURS = ("00FFFF", "FF00FF", "FFFF00", "FF0000", "00FF00", "0000FF")
"""Of channels that are no RGB, in turn; a single one is white."""
_DARK, _BRIGHT = 0.1, 99.9
"""Per cent of pixels between which a channel of more than 8 bits is shown."""


def attributes(slide: Slide, plan: LevelPlan, samples: Sequence[NDArray[Any]]) -> dict[str, Any]:
    """Return the attributes of the image's group.

    Parameters
    ----------
    slide : Slide
        What is written.
    plan : LevelPlan
        Levels of the output; their arrays are named by number.
    samples : sequence of ndarray
        Pixels of each channel, from which the range to show is taken.
    """
    ome = {"version": VERSION, "multiscales": [_multiscale(slide, plan)], "omero": _omero(slide, samples)}
    metadata = slide.metadata
    ours: dict[str, Any] = {"version": __version__, "objective_power": metadata.objective_power}
    if metadata.icc_profile:
        ours["icc_profile"] = base64.b64encode(metadata.icc_profile).decode()
    return {"ome": ome, OURS: {key: value for key, value in ours.items() if value is not None}}


def _multiscale(slide: Slide, plan: LevelPlan) -> dict[str, Any]:
    known = slide.metadata.mpp_x and slide.metadata.mpp_y
    # The flat plane has no z, so that axis gets no unit.
    axes = [
        {"name": name, "type": _KINDS.get(name, "space")} | ({"unit": "micrometer"} if known and name in "yx" else {})
        for name in AXES
    ]
    datasets = [
        {"path": str(index), "coordinateTransformations": _transforms(slide, _factors(plan, index))}
        for index in range(len(plan.levels))
    ]
    return {"name": "flat", "axes": axes, "datasets": datasets, "type": "mean", "metadata": {"version": __version__}}


def _factors(plan: LevelPlan, index: int) -> tuple[float, float]:
    """Return level-0 pixels per pixel down and across: halving is exact, also where odd edges were repeated for it."""
    segment = plan.segment_of(index)
    first, halved = plan.levels[segment.first], 2 ** (index - segment.first)
    return first.downsample_y * halved, first.downsample_x * halved


def _transforms(slide: Slide, factors: tuple[float, float]) -> list[dict[str, Any]]:
    """Return the pixel size, and where the centre of the first pixel lies: half a pixel is larger than at full size."""
    steps = (slide.metadata.mpp_y or 1.0, slide.metadata.mpp_x or 1.0)
    scale = [step * factor for step, factor in zip(steps, factors, strict=True)]
    place = [step * (factor - 1) / 2 for step, factor in zip(steps, factors, strict=True)]
    return [
        {"type": "scale", "scale": [1.0, 1.0, 1.0, *scale]},
        {"type": "translation", "translation": [0.0, 0.0, 0.0, *place]},
    ]


def _omero(slide: Slide, samples: Sequence[NDArray[Any]]) -> dict[str, Any]:
    channels = []
    for index, name in enumerate(slide.channels):
        single = len(slide.channels) == 1
        colour = "FFFFFF" if single else _RGB.get(name, _COLOURS[index % len(_COLOURS)])
        channels.append(
            {
                "label": name,
                "color": colour,
                "active": True,
                "coefficient": 1,
                "family": "linear",
                "inverted": False,
                "window": _window(samples[index]),
            }
        )
    model = "greyscale" if len(channels) == 1 else "color"
    return {"channels": channels, "rdefs": {"model": model, "defaultT": 0, "defaultZ": 0}}


def _window(pixels: NDArray[Any]) -> dict[str, float]:
    """Return the values that a channel can have, and those between which it is shown."""
    if pixels.dtype == np.uint8:
        return {"min": 0, "max": 255, "start": 0, "end": 255}
    finite = pixels[np.isfinite(pixels)].astype(np.float64)
    if not finite.size:
        finite = np.zeros(1)
    if pixels.dtype.kind == "f":
        low, high = float(finite.min()), float(finite.max())
    else:
        limits = np.iinfo(pixels.dtype)
        low, high = float(limits.min), float(limits.max)
    start, end = (float(value) for value in np.percentile(finite, (_DARK, _BRIGHT)))
    return {"min": low, "max": max(high, low + 1), "start": start, "end": end if end > start else start + 1}
