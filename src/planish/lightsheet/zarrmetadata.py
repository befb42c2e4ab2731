"""What an OME-Zarr of one volume says of itself, and what is understood of others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from planish._version import __version__
from planish.lightsheet.lazyvolume import Voxel
from planish.write.omezarrmetadata import VERSION

AXES = ("z", "y", "x")
OURS = "planish"
"""Key under which a group says that planish wrote it."""
_UM = {"micrometer": 1.0, "nanometer": 1e-3, "millimeter": 1e3}


def image_attributes(levels: int, voxel_um: Voxel | None, *, label: bool) -> dict[str, Any]:
    """Return the attributes of an image's or a label's group.

    Parameters
    ----------
    levels : int
        How many there are, each half as high and wide as the one before.
    voxel_um : tuple of float or None
        Steps in z, y and x.
    label : bool
        Whether it is one; its smaller levels are every other pixel, those of an image means of four.
    """
    datasets = [
        {"path": str(level), "coordinateTransformations": _transforms(2**level, voxel_um, label)}
        for level in range(levels)
    ]
    axes = [{"name": name, "type": "space"} | ({"unit": "micrometer"} if voxel_um else {}) for name in AXES]
    multiscale = {"name": "label" if label else "volume", "axes": axes, "datasets": datasets}
    ome: dict[str, Any] = {"version": VERSION, "multiscales": [multiscale | {"type": "nearest" if label else "mean"}]}
    if label:
        ome["image-label"] = {"source": {"image": "../../"}}
    return {"ome": ome, OURS: {"version": __version__}}


def labels_attributes(names: list[str]) -> dict[str, Any]:
    """Return the attributes of the group that holds the labels."""
    return {"ome": {"version": VERSION, "labels": names}}


def _transforms(factor: int, voxel_um: Voxel | None, label: bool) -> list[dict[str, Any]]:
    """Return the voxel size, and where the centre of the first voxel lies: of a mean, between those it is made of."""
    z, y, x = voxel_um or (1.0, 1.0, 1.0)
    half = 0.0 if label else (factor - 1) / 2
    return [
        {"type": "scale", "scale": [z, y * factor, x * factor]},
        {"type": "translation", "translation": [0.0, y * half, x * half]},
    ]


def multiscale_of(attributes: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the first image that a group tells of, since 0.5 under ``ome``; None where it tells of none."""
    told = attributes.get("ome", attributes)
    found = told.get("multiscales") if isinstance(told, Mapping) else None
    return found[0] if found else None


def voxel_of(multiscale: Mapping[str, Any]) -> Voxel | None:
    """Return the steps in z, y and x in µm, where all three have a unit."""
    scales = [
        each["scale"]
        for told in (multiscale["datasets"][0], multiscale)
        for each in told.get("coordinateTransformations", [])
        if each["type"] == "scale"
    ]
    steps = dict.fromkeys(AXES, 0.0)
    for place, axis in enumerate(multiscale["axes"]):
        step = _UM.get(axis.get("unit"), 0.0)
        for scale in scales:
            step *= float(scale[place])
        steps[axis["name"]] = step
    return (steps["z"], steps["y"], steps["x"]) if all(steps[name] > 0 for name in AXES) else None
