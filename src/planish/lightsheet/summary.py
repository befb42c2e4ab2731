"""What a data set or a volume holds, as facts and as text."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from planish.lightsheet.dataset import Dataset, open_dataset
from planish.lightsheet.sources import is_data_set
from planish.lightsheet.volume import open_volume


def describe_source(path: Path) -> dict[str, Any]:
    """Return facts of a data set or a volume.

    Raises
    ------
    SlideError
        Where it is neither.
    """
    return _of_data(open_dataset(path)) if is_data_set(path) else _of_volume(path)


def _of_volume(path: Path) -> dict[str, Any]:
    with open_volume(path) as volume:
        return {"shape": volume.shape, "dtype": str(volume.dtype), "voxel_um": volume.voxel_um}


def _of_data(data: Dataset) -> dict[str, Any]:
    shapes: dict[str, int] = {}
    for look in data.looks:
        with data.volume(look) as volume:
            said = f"{' × '.join(map(str, volume.shape))} {volume.dtype}"
        shapes[said] = shapes.get(said, 0) + 1
    told = data.metadata
    return {
        "specimens": data.specimens,
        "times": data.times,
        "views": [{"camera": camera, "channel": channel} for camera, channel in data.views],
        "volumes": shapes,
        "voxel_um": told["voxel_um"],
        "dark_frames": len(told["backgrounds"]),
        "acquisitions": [_acquisition(each) for each in told["acquisitions"]],
        "gaps": data.gaps,
    }


def _acquisition(told: Mapping[str, Any]) -> dict[str, Any]:
    names = ("channel", "cameras", "wavelength_nm", "illumination", "exposure_ms", "objective", "pixel_um", "z_step_um")
    return {name: told[name] for name in names}


def format_facts(facts: Mapping[str, Any]) -> str:
    """Return facts as lines for people."""
    return "\n".join(line for name, value in facts.items() for line in _lines(name, value))


def _lines(name: str, value: Any) -> list[str]:
    title = name.replace("_", " ")
    if name == "volumes":
        return [f"{title:<12} {count} of {shape}" for shape, count in value.items()]
    if name == "views":
        return [f"{title:<12} camera {view['camera']}, channel {view['channel']}" for view in value]
    if name == "acquisitions":
        return [f"{'XML':<12} {', '.join(f'{key} {_text(each)}' for key, each in one.items())}" for one in value]
    if name == "gaps":
        return [f"{'gap':<12} {gap}" for gap in value]
    return [f"{title:<12} {_text(value)}"]


def _text(value: Any) -> str:
    if value is None:
        return "not known"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list | tuple):
        if len(value) > 12:
            return f"{len(value)} from {_text(value[0])} to {_text(value[-1])}"
        return ", ".join(_text(each) for each in value)
    return str(value)
