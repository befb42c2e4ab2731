"""The contract stack as OME-Zarr, written with zarr alone and not with planish's own writer."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

MPP = 0.25
Z_STEP = 1.5
_KINDS = {"t": "time", "c": "channel"}
_UNITS = {"z": "nanometer", "y": "micrometer", "x": "micrometer"}


@dataclass(frozen=True)
class ZarrForm:
    """How the stack is stored.

    Attributes
    ----------
    version : str
        Of OME-Zarr: 0.4 is Zarr 2, 0.5 is Zarr 3.
    axes : str
        In the order stored.
    chunk : tuple of int
        (y, x) px.
    deep : bool
        Whether a chunk spans all planes and channels.
    shards : tuple of int or None
        (y, x) px of a shard.
    down : bool
        Whether planes are stored highest first, with a negative step.
    dtype : str
        As stored.
    omero : Mapping or None
        What it says of channels.
    """

    version: str = "0.5"
    axes: str = "tczyx"
    chunk: tuple[int, int] = (128, 128)
    deep: bool = False
    shards: tuple[int, int] | None = None
    down: bool = False
    dtype: str | None = None
    omero: Mapping[str, Any] | None = None


RGB: Mapping[str, Any] = {
    "channels": [
        {"label": name, "color": colour, "active": True, "window": {"min": 0, "max": 255, "start": 0, "end": 255}}
        for name, colour in zip("RGB", ("FF0000", "00FF00", "0000FF"), strict=True)
    ]
}


def make_zarr(folder: Path, stack: NDArray[Any], form: ZarrForm) -> Path:
    """Write (Z, Y, X, C), lowest plane first, with a level at half size."""
    path = folder / "stack.zarr"
    half = np.stack([_halved(plane) for plane in stack])
    group = zarr.open_group(str(path), mode="w", zarr_format=2 if form.version == "0.4" else 3)
    for name, pixels in (("0", stack), ("1", half)):
        write_array(group, name, pixels, form)
    put_metadata(group, form.version, [multiscale(form, stack)], form.omero)
    return path


def _halved(plane: NDArray[Any]) -> NDArray[Any]:
    height, width, channels = plane.shape
    quarters = plane.reshape(height // 2, 2, width // 2, 2, channels)
    return np.asarray(quarters.mean((1, 3)).astype(plane.dtype))


def write_array(group: zarr.Group, name: str, stack: NDArray[Any], form: ZarrForm) -> None:
    """Write one level."""
    if form.down:
        stack = stack[::-1]
    sizes = dict(zip("zyxc", stack.shape, strict=True)) | {"t": 1}
    held = [axis for axis in "tzyxc" if axis in form.axes]
    array = stack.reshape([sizes[axis] for axis in held])
    array = array.transpose([held.index(axis) for axis in form.axes])
    chunk = {"y": form.chunk[0], "x": form.chunk[1]}
    options: dict[str, Any] = {"chunks": tuple(chunk.get(a, sizes[a] if form.deep else 1) for a in form.axes)}
    if form.shards:
        side = {"y": form.shards[0], "x": form.shards[1]}
        options["shards"] = tuple(side.get(a, sizes[a]) for a in form.axes)
    if form.version == "0.4":
        options["chunk_key_encoding"] = {"name": "v2", "separator": "/"}
    else:
        options["dimension_names"] = list(form.axes)
    dtype = form.dtype or array.dtype
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = group.create_array(name, shape=array.shape, dtype=dtype, **options)
    made[...] = array.astype(dtype)


def multiscale(form: ZarrForm, stack: NDArray[Any]) -> dict[str, Any]:
    """Return what the image says of itself: part of the step stands per level, part of it for all."""
    step = -Z_STEP if form.down else Z_STEP
    first = Z_STEP * (len(stack) - 2) if form.down else -Z_STEP
    datasets = []
    for path, factor in (("0", 1.0), ("1", 2.0)):
        scale = {"z": step * 500, "y": factor * MPP, "x": factor * MPP}
        place = {"z": first * 500, "y": (factor - 1) * MPP / 2, "x": (factor - 1) * MPP / 2}
        datasets.append({"path": path, "coordinateTransformations": transforms(form.axes, scale, place)})
    return {
        "name": "stack",
        "axes": [_axis(name) for name in form.axes],
        "datasets": datasets,
        "coordinateTransformations": transforms(form.axes, {"z": 2.0}, {})[:1],
    }


def _axis(name: str) -> dict[str, str]:
    axis = {"name": name, "type": _KINDS.get(name, "space")}
    return axis | ({"unit": _UNITS[name]} if name in _UNITS else {})


def transforms(axes: Sequence[str], scale: Mapping[str, float], place: Mapping[str, float]) -> list[dict[str, Any]]:
    """Return a scale and a translation."""
    return [
        {"type": "scale", "scale": [scale.get(axis, 1.0) for axis in axes]},
        {"type": "translation", "translation": [place.get(axis, 0.0) for axis in axes]},
    ]


def put_metadata(
    group: zarr.Group, version: str, multiscales: list[dict[str, Any]], omero: Mapping[str, Any] | None = None
) -> None:
    """Write a group's attributes as its version has them."""
    told: dict[str, Any] = {"multiscales": multiscales} | ({"omero": dict(omero)} if omero else {})
    if version == "0.4":
        for each in multiscales:
            each["version"] = version
        group.attrs.update(told)
    else:
        group.attrs["ome"] = {"version": version, **told}
